using NativeBigModel.Planning;

namespace NativeBigModel.Cli;

/// <summary>One line on stderr that shows how far a load or conversion is; silent where stderr is not a terminal.</summary>
internal sealed class ProgressLine(string action) : IProgress<LoadProgress>, IDisposable
{
    private readonly Lock _lock = new();
    private readonly bool _visible = !Console.IsErrorRedirected;
    private bool _shown;

    public void Report(LoadProgress value)
    {
        if (!_visible || value.BytesTotal == 0) return;
        lock (_lock)
        {
            _shown = true;
            Console.Error.Write($"\r{action} {100 * value.BytesDone / value.BytesTotal,3} %  {ByteSize.Format(value.BytesDone)} of {ByteSize.Format(value.BytesTotal)}   ");
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_shown) Console.Error.Write("\r" + new string(' ', 70) + "\r");
            _shown = false;
        }
    }
}
