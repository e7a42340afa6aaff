using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Native;

internal sealed class NbmMappingHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        NbmApi.NbmMappingDestroy(handle);
        return true;
    }
}

/// <summary>A file as memory. What another program takes away of it reads as zeros, and shows: see <see cref="Require"/>.</summary>
internal sealed unsafe class MappedFile
{
    private const int ErrorBytes = 512;

    private readonly string _path;

    private MappedFile(string path, NbmMappingHandle handle, byte* memory, long length)
    {
        (_path, Handle, Length) = (path, handle, length);
        Memory = memory;
    }

    public NbmMappingHandle Handle { get; }

    public byte* Memory { get; }

    public long Length { get; }

    /// <summary>Maps a file; null where that cannot be, and it must be read.</summary>
    public static MappedFile? TryOpen(string path)
    {
        try { StreamingLibrary.Load(); }
        catch (EngineException) { return null; }
        byte* error = stackalloc byte[ErrorBytes];
        NbmStatus status = NbmApi.NbmMappingCreate(path, out NbmMappingHandle handle, out byte* memory, out ulong length, error, ErrorBytes);
        if (status == NbmStatus.Ok) return new(path, handle, memory, (long)length);
        handle.Dispose();
        return null;
    }

    /// <summary>Brings a part into memory. From any thread.</summary>
    /// <exception cref="CheckpointException">It cannot be read.</exception>
    public void Fill(long offset, long bytes)
    {
        byte* error = stackalloc byte[ErrorBytes];
        if (NbmApi.NbmMappingFill(Handle, (ulong)offset, (ulong)bytes, error, ErrorBytes) != NbmStatus.Ok)
            throw new CheckpointException(Path.GetFileName(_path), $"byte {offset}", Utf8.Text(error));
    }

    /// <summary>Requires that all that was read of it was there.</summary>
    /// <exception cref="CheckpointException">Something was not: the file was cut, or its disk failed.</exception>
    public void Require()
    {
        if (NbmApi.NbmMappingIsDamaged(Handle) != 0)
            throw new CheckpointException(Path.GetFileName(_path), "weights", $"could not be read while the model was in use: the file had {Length} bytes when it was loaded, and has {Now()}");
    }

    private string Now() => File.Exists(_path) ? $"{new FileInfo(_path).Length} now" : "been removed";
}
