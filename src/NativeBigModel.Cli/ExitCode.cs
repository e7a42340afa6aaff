namespace NativeBigModel.Cli;

/// <summary>What the process returns.</summary>
internal static class ExitCode
{
    public const int Success = 0;
    public const int Usage = 2;
    public const int BadInput = 3;
    public const int DoesNotFit = 4;
    public const int EngineFailure = 5;
    public const int Cancelled = 130;
}
