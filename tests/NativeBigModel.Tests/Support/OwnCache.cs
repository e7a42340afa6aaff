using System.Runtime.CompilerServices;

namespace NativeBigModel.Tests;

/// <summary>What tests find out about the machine is no business of its user's, nor what the user measured theirs.</summary>
internal static class OwnCache
{
    private static readonly TempFolder s_folder = new();

    [ModuleInitializer]
    internal static void Use()
    {
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", s_folder.Path);
        AppDomain.CurrentDomain.ProcessExit += static (_, _) => s_folder.Dispose();
    }
}
