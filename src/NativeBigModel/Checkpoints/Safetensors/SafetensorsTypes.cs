namespace NativeBigModel.Checkpoints.Safetensors;

/// <summary>Element types of the safetensors format (huggingface/safetensors, tensor.rs, enum Dtype).</summary>
internal static class SafetensorsTypes
{
    /// <summary>Bits of one element, or null for a name that the format does not have.</summary>
    public static int? Bits(string type) => type switch
    {
        "F4" => 4,
        "F6_E2M3" or "F6_E3M2" => 6,
        "BOOL" or "U8" or "I8" or "F8_E5M2" or "F8_E4M3" or "F8_E8M0" or "F8_E4M3FNUZ" or "F8_E5M2FNUZ" => 8,
        "U16" or "I16" or "F16" or "BF16" => 16,
        "U32" or "I32" or "F32" => 32,
        "U64" or "I64" or "F64" or "C64" => 64,
        _ => null,
    };

    /// <summary>The ggml type with the same bytes, or null where there is none that a weight may have.</summary>
    public static TensorType? AsTensorType(string type) => type switch
    {
        "F32" => TensorType.F32,
        "F16" => TensorType.F16,
        "BF16" => TensorType.BF16,
        _ => null,
    };
}
