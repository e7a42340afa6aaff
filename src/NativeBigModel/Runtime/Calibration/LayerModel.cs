using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>A decoder of a few layers of Llama's graph, or of Mixtral's, whose weights are all zero: what it computes is nothing, and takes as long as if it were something.</summary>
internal static class LayerModel
{
    /// <summary>Tokens that it holds.</summary>
    public const int Context = 1024;

    private const int LeastHeadLength = 64, HeadLength = 128, Heads = 16, QueriesPerKey = 4, Vocabulary = 512;

    /// <param name="layers">How many.</param>
    /// <param name="width">Elements of the residual stream, a multiple of 512.</param>
    /// <param name="type">Of the matrices.</param>
    /// <param name="feedForward">Elements of the feed-forward network, or of an expert, a multiple of 256; null for three and a half times those of the stream.</param>
    /// <param name="experts">Experts of a layer, and how many of them a token passes; none in a dense model.</param>
    public static ModelDefinition Of(int layers, int width, TensorType type, int? feedForward = null, (int Count, int Used) experts = default)
    {
        int length = Math.Clamp(width / Heads, LeastHeadLength, HeadLength), heads = width / length, keys = heads / QueriesPerKey, inner = feedForward ?? width / 2 * 7;
        var shape = new ModelShape
        {
            Architecture = "llama", Name = "calibration", EmbeddingLength = width, VocabularySize = Vocabulary, ContextLength = Context,
            Layers = [.. Enumerable.Repeat(new LayerShape(heads, keys, length, length, inner) { ExpertLength = experts.Count > 0 ? inner : 0 }, layers)],
            ExpertCount = experts.Count, ExpertUsedCount = experts.Used,
            Tensors = [.. Tensors(layers, width, keys * length, inner, type, experts.Count)],
        };
        var metadata = new GgufMetadata
        {
            ["general.architecture"] = shape.Architecture, ["tokenizer.ggml.model"] = "none",
            ["llama.attention.layer_norm_rms_epsilon"] = 1e-5f, ["llama.rope.freq_base"] = 10000f,
        };
        foreach ((string key, int value) in (ReadOnlySpan<(string, int)>)[("block_count", layers), ("context_length", Context), ("embedding_length", width), ("feed_forward_length", inner), ("vocab_size", Vocabulary),
            ("attention.head_count", heads), ("attention.head_count_kv", keys), ("rope.dimension_count", length), ("expert_count", experts.Count), ("expert_used_count", experts.Used)])
            metadata[$"llama.{key}"] = (uint)value;
        return new(shape, metadata, [.. shape.Tensors.Select(tensor => new ModelTensor(tensor, new Zeros(tensor.Type, tensor.Rows, tensor.Columns)))]);
    }

    private static IEnumerable<TensorSpec> Tensors(int layers, int width, int keys, int inner, TensorType type, int experts)
    {
        TensorSpec Matrix(string name, int columns, int rows) => new(name + ".weight", [columns, rows], type);
        TensorSpec Network(string name, int columns, int rows) => experts == 0 ? Matrix(name, columns, rows) : new(name + "_exps.weight", [columns, rows, experts], type);
        TensorSpec Norm(string name) => new(name + ".weight", [width], TensorType.F32);
        yield return Matrix("token_embd", width, Vocabulary);
        yield return Norm("output_norm");
        yield return Matrix("output", width, Vocabulary);
        for (int i = 0; i < layers; i++)
        {
            string layer = $"blk.{i}.";
            yield return Norm(layer + "attn_norm");
            yield return Matrix(layer + "attn_q", width, width);
            yield return Matrix(layer + "attn_k", width, keys);
            yield return Matrix(layer + "attn_v", width, keys);
            yield return Matrix(layer + "attn_output", width, width);
            yield return Norm(layer + "ffn_norm");
            if (experts > 0) yield return new(layer + "ffn_gate_inp.weight", [width, experts], TensorType.F32);
            yield return Network(layer + "ffn_gate", width, inner);
            yield return Network(layer + "ffn_up", width, inner);
            yield return Network(layer + "ffn_down", inner, width);
        }
    }

    private sealed class Zeros(TensorType type, long rows, long columns) : TensorSource(type, rows, columns)
    {
        public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) => destination.Clear();
    }
}
