using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tests.Conversion;

/// <summary>The values of converted files against the safetensors files, read and reordered here.</summary>
public class FloatFileTests
{
    private static readonly (string HuggingFace, string Gguf)[] s_names =
    [
        ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
    ];

    [Theory]
    [InlineData(WeightType.F32)]
    [InlineData(WeightType.F16)]
    [InlineData(WeightType.BF16)]
    public async Task Every_tensor_has_the_values_of_the_folder_in_llama_cpp_s_order(WeightType type)
    {
        using var folder = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        await GgufConverter.ConvertAsync(checkpoint, folder["out.gguf"], type);
        byte[] file = File.ReadAllBytes(folder["out.gguf"]);
        var tensors = GgufReader.Read(folder["out.gguf"]).Tensors;
        Assert.Equal(checkpoint.StoredTensors.Count, tensors.Count);
        foreach ((TensorSpec spec, long offset) in tensors)
        {
            StoredTensor stored = checkpoint.StoredTensors.Single(tensor => tensor.Name == HuggingFaceName(spec.Name));
            float[] expected = Stored(stored), got = Values(file.AsSpan((int)offset, (int)spec.Bytes), spec.Type);
            if (stored.Name.Contains(".q_proj", StringComparison.Ordinal) || stored.Name.Contains(".k_proj", StringComparison.Ordinal)) expected = Interleaved(expected, (int)stored.Shape[1], headRows: 32);
            Assert.Equal(spec.Dimensions.Length == 1 ? TensorType.F32 : type.BaseType(), spec.Type);
            Assert.Equal(expected.Select(value => spec.Type == TensorType.F16 ? (float)(Half)value : value), got);
        }
    }

    private static string HuggingFaceName(string gguf)
    {
        if (gguf == "token_embd.weight") return "model.embed_tokens.weight";
        if (gguf == "output_norm.weight") return "model.norm.weight";
        string[] parts = gguf.Split('.');
        return $"model.layers.{parts[1]}.{s_names.Single(pair => pair.Gguf == parts[2]).HuggingFace}.weight";
    }

    private static float[] Stored(StoredTensor tensor) => Values(File.ReadAllBytes(tensor.File).AsSpan((int)tensor.Offset, (int)tensor.Bytes), TensorType.BF16);

    private static float[] Values(ReadOnlySpan<byte> bytes, TensorType type) => type switch
    {
        TensorType.F32 => MemoryMarshal.Cast<byte, float>(bytes).ToArray(),
        TensorType.F16 => [.. MemoryMarshal.Cast<byte, Half>(bytes).ToArray().Select(half => (float)half)],
        _ => [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray().Select(half => BitConverter.UInt32BitsToSingle((uint)half << 16))],
    };

    // Row 2i + j of a head comes from its row j * d/2 + i.
    private static float[] Interleaved(float[] values, int columns, int headRows)
    {
        float[][] rows = [.. values.Chunk(columns)];
        return [.. rows.Chunk(headRows).SelectMany(head => Enumerable.Range(0, headRows).Select(row => head[row % 2 * (headRows / 2) + row / 2])).SelectMany(row => row)];
    }
}
