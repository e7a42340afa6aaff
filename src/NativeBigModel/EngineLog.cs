using Microsoft.Extensions.Logging;
using NativeBigModel.Native;

namespace NativeBigModel;

/// <summary>What the native engine says. There is one engine in a process, and so one log.</summary>
public static class EngineLog
{
    /// <summary>Gets every line of the engine from now on, whole and at its level; null for none. A logger that throws is ignored.</summary>
    public static ILogger? Logger
    {
        get => NativeLog.Logger;
        set => NativeLog.Logger = value;
    }
}
