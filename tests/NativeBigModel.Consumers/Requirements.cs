using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

/// <summary>A test that compiles the sources.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SourcesFactAttribute : FactAttribute
{
    public SourcesFactAttribute()
    {
        if (Packages.Given is not null) Skip = "it compiles the sources, which needs more than the .NET SDK, and these packages were made before";
    }
}

/// <summary>A test that links a program ahead of time.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LinkerFactAttribute : FactAttribute
{
    public LinkerFactAttribute()
    {
        if (Command.Find("gcc") is null) Skip = "gcc, which links what is compiled ahead of time, is not installed";
    }
}

/// <summary>A test that runs programs for Windows.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class WindowsFactAttribute : FactAttribute
{
    public WindowsFactAttribute()
    {
        if (Packages.Windows is null) Skip = "there is no Wine here, or no package for Windows and no compiler that makes one";
    }
}
