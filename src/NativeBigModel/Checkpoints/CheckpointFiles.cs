using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Checkpoints;

/// <summary>Random-access reads of a checkpoint's files, from any number of threads. Files open on first use and close together.</summary>
internal sealed class CheckpointFiles : IDisposable
{
    private readonly Dictionary<string, SafeFileHandle> _open = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/>.</summary>
    /// <exception cref="CheckpointException">The file is gone or shorter than its header said.</exception>
    public void Read(string file, long offset, Span<byte> destination)
    {
        try
        {
            SafeFileHandle handle = Open(file);
            while (!destination.IsEmpty)
            {
                int read = RandomAccess.Read(handle, destination, offset);
                if (read == 0) throw new CheckpointException(Path.GetFileName(file), $"byte {offset}", $"the file ends {destination.Length} bytes early");
                destination = destination[read..];
                offset += read;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(Path.GetFileName(file), $"byte {offset}", error.Message, error);
        }
    }

    private SafeFileHandle Open(string file)
    {
        lock (_lock)
        {
            if (!_open.TryGetValue(file, out SafeFileHandle? handle)) _open[file] = handle = File.OpenHandle(file);
            return handle;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (SafeFileHandle handle in _open.Values) handle.Dispose();
            _open.Clear();
        }
    }
}
