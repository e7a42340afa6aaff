using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Shapes of published models.</summary>
internal static class Models
{
    /// <summary>A decoder as Llama has it, or as Mixtral.</summary>
    public static ModelShape Llama(int layers, int width, int inner, int heads, int kvHeads, int vocabulary, TensorType type, int experts = 0, int used = 0)
    {
        int head = width / heads;
        long[] stack = experts > 0 ? [experts] : [];
        string suffix = experts > 0 ? "_exps" : "";
        return new()
        {
            Architecture = "llama", Name = "model", EmbeddingLength = width, VocabularySize = vocabulary, ContextLength = 4096, ExpertCount = experts, ExpertUsedCount = used,
            Layers = [.. Enumerable.Repeat(new LayerShape(heads, kvHeads, head, head, inner) { ExpertLength = experts > 0 ? inner : 0 }, layers)],
            Tensors =
            [
                new("token_embd.weight", [width, vocabulary], type),
                .. Enumerable.Range(0, layers).SelectMany(i => (TensorSpec[])
                [
                    new($"blk.{i}.attn_norm.weight", [width], TensorType.F32),
                    new($"blk.{i}.attn_q.weight", [width, width], type),
                    new($"blk.{i}.attn_k.weight", [width, (long)kvHeads * head], type),
                    new($"blk.{i}.attn_v.weight", [width, (long)kvHeads * head], type),
                    new($"blk.{i}.attn_output.weight", [width, width], type),
                    new($"blk.{i}.ffn_norm.weight", [width], TensorType.F32),
                    .. experts > 0 ? (TensorSpec[])[new($"blk.{i}.ffn_gate_inp.weight", [width, experts], TensorType.F32)] : [],
                    new($"blk.{i}.ffn_gate{suffix}.weight", [width, inner, .. stack], type),
                    new($"blk.{i}.ffn_up{suffix}.weight", [width, inner, .. stack], type),
                    new($"blk.{i}.ffn_down{suffix}.weight", [inner, width, .. stack], type),
                ]),
                new("output_norm.weight", [width], TensorType.F32),
                new("output.weight", [width, vocabulary], type),
            ],
        };
    }
}
