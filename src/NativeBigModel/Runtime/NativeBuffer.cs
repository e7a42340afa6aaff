using System.Runtime.InteropServices;

namespace NativeBigModel.Runtime;

/// <summary>Bytes outside the managed heap, of any number; freed once.</summary>
internal sealed unsafe class NativeBuffer : SafeBuffer
{
    public NativeBuffer(long length) : base(ownsHandle: true)
    {
        SetHandle((nint)NativeMemory.Alloc((nuint)Math.Max(1, length)));
        Initialize((ulong)length);
        Length = length;
    }

    public byte* Bytes => (byte*)handle;

    public long Length { get; }

    /// <summary>A stream over all of it.</summary>
    public UnmanagedMemoryStream Open() => new(Bytes, Length, Length, FileAccess.ReadWrite);

    protected override bool ReleaseHandle()
    {
        NativeMemory.Free((void*)handle);
        return true;
    }
}
