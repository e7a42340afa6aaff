using System.Runtime.InteropServices;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>llama_model_params.tensor_buft_overrides: which tensors go to which buffer type. llama.cpp reads it while it makes the model.</summary>
internal sealed unsafe class BufferOverrides : IDisposable
{
    private readonly nint[] _patterns;

    public BufferOverrides(IReadOnlyList<(string Pattern, nint BufferType)> overrides)
    {
        _patterns = [.. overrides.Select(one => Marshal.StringToCoTaskMemUTF8(one.Pattern))];
        Address = (LlamaModelTensorBuftOverride*)NativeMemory.AllocZeroed((nuint)(overrides.Count + 1), (nuint)sizeof(LlamaModelTensorBuftOverride));
        for (int i = 0; i < _patterns.Length; i++) Address[i] = new() { Pattern = (byte*)_patterns[i], Buft = (GgmlBackendBufferType*)overrides[i].BufferType };
    }

    /// <summary>The entries, with an empty one behind them.</summary>
    public LlamaModelTensorBuftOverride* Address { get; }

    public void Dispose()
    {
        NativeMemory.Free(Address);
        foreach (nint pattern in _patterns) Marshal.FreeCoTaskMem(pattern);
    }
}
