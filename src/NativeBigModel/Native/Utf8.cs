using System.Runtime.InteropServices;
using System.Text;

namespace NativeBigModel.Native;

internal static unsafe class Utf8
{
    /// <summary>The text of a C string; empty for null.</summary>
    public static string Text(byte* zeroTerminated) =>
        zeroTerminated is null ? "" : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(zeroTerminated));
}
