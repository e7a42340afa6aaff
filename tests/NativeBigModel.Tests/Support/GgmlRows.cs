using System.Runtime.InteropServices;
using NativeBigModel.Native;

namespace NativeBigModel.Tests;

/// <summary>ggml's own reading of its types (ggml.h, ggml_get_type_traits).</summary>
internal static unsafe class GgmlRows
{
    // struct ggml_type_traits: name, block, interleave, size, quantised or not, then the function.
    private const int ToFloat = 5;

    public static float[] ToFloats(TensorType type, byte[] rows, int count)
    {
        EngineLibrary.Load();
        nint library = NativeLibrary.Load(Directory.EnumerateFiles(EngineLibrary.Folder!).First(EngineFolder.IsGgmlBase));
        var traits = (delegate* unmanaged<TensorType, nint*>)NativeLibrary.GetExport(library, "ggml_get_type_traits");
        float[] values = new float[count];
        fixed (byte* from = rows)
        fixed (float* to = values) ((delegate* unmanaged<void*, float*, long, void>)traits(type)[ToFloat])(from, to, count);
        return values;
    }
}
