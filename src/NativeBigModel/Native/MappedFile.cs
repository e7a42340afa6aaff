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
        if (!StreamingLibrary.TryLoad()) return null;
        NbmMappingHandle? handle = null;
        byte* memory = null;
        ulong length = 0;
        if (NbmErrors.Of((error, size) => NbmApi.NbmMappingCreate(path, out handle, out memory, out length, error, size)) is null) return new(path, handle!, memory, (long)length);
        handle?.Dispose();
        return null;
    }

    /// <summary>Brings a part into memory. From any thread.</summary>
    /// <exception cref="CheckpointException">It cannot be read.</exception>
    public void Fill(long offset, long bytes)
    {
        if (NbmErrors.Of((error, size) => NbmApi.NbmMappingFill(Handle, (ulong)offset, (ulong)bytes, error, size)) is { } reason)
            throw new CheckpointException(Path.GetFileName(_path), $"byte {offset}", reason);
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
