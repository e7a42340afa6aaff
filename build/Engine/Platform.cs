using System.Runtime.InteropServices;

namespace NativeBigModel.Build;

/// <summary>This machine's runtime identifier, portable form: <c>linux-x64</c>, <c>linux-musl-arm64</c>, <c>win-x64</c>, ...</summary>
internal static class Platform
{
    public static string Rid { get; } = $"{System}-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}";

    private static string System =>
        OperatingSystem.IsWindows() ? "win" :
        OperatingSystem.IsMacOS() ? "osx" :
        RuntimeInformation.RuntimeIdentifier.Contains("musl", StringComparison.Ordinal) ? "linux-musl" : "linux";
}
