namespace NativeBigModel.Planning;

/// <summary>What a read around the page cache needs, as native/store.h has it.</summary>
internal static class FileRead
{
    private const long Block = 4096;

    /// <summary>Bytes of memory for a range of so many bytes of a file: whole blocks, and one more where it does not begin with one.</summary>
    public static long Room(long bytes) => (bytes + Block - 1) / Block * Block + Block;
}
