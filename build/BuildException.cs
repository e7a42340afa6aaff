namespace NativeBigModel.Build;

/// <summary>A build step failed for a reason the user can act on. The message is one line that says what to do.</summary>
internal sealed class BuildException(string message, Exception? inner = null) : Exception(message, inner);
