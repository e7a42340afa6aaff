using Microsoft.Extensions.Logging;

namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>What the application's log tells of loads.</summary>
internal static partial class LoadLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "Loading {Path}")]
    public static partial void Loading(this ILogger log, string path);

    [LoggerMessage(Level = LogLevel.Information, Message = "Loaded {Path}, a context of {ContextLength} tokens")]
    public static partial void Loaded(this ILogger log, string path, int contextLength);
}
