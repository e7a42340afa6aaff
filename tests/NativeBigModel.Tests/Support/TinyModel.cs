using System.Runtime.InteropServices;
using System.Text.Json.Nodes;

namespace NativeBigModel.Tests;

/// <summary>A synthetic checkpoint: a class of transformers, a shape, and random float32 weights. It has no tokenizer.</summary>
internal sealed record TinyModel(string Class)
{
    public int Layers { get; init; } = 2;
    public int Hidden { get; init; } = 256;
    public int FeedForward { get; init; } = 256;
    public int Heads { get; init; } = 4;
    public int KvHeads { get; init; } = 1;
    public int HeadLength { get; init; } = 64;
    public int Vocabulary { get; init; } = 64;
    public bool Tied { get; init; }

    /// <summary>Of a MixtralForCausalLM: experts of a layer, and how many of them a token uses.</summary>
    public (int All, int Used) Experts { get; init; } = (6, 3);

    private bool IsMixture => Class == "MixtralForCausalLM";

    public override string ToString() => $"{Class} {Layers}x{Hidden} ffn {FeedForward} heads {Heads}/{KvHeads}x{HeadLength}{(Tied ? " tied" : "")}";

    public JsonObject Config() => new()
    {
        ["architectures"] = new JsonArray(Class),
        ["hidden_size"] = Hidden,
        ["intermediate_size"] = FeedForward,
        ["num_hidden_layers"] = Layers,
        ["num_attention_heads"] = Heads,
        ["num_key_value_heads"] = KvHeads,
        ["head_dim"] = HeadLength,
        ["vocab_size"] = Vocabulary,
        ["max_position_embeddings"] = 512,
        ["rms_norm_eps"] = 1e-5,
        ["rope_theta"] = 10000.0,
        ["tie_word_embeddings"] = Tied,
        ["torch_dtype"] = "float32",
        ["num_local_experts"] = IsMixture ? Experts.All : null,
        ["num_experts_per_tok"] = IsMixture ? Experts.Used : null,
    };

    /// <summary>Names and shapes, outermost extent first.</summary>
    public IEnumerable<(string Name, long[] Shape)> Tensors()
    {
        yield return ("model.embed_tokens.weight", [Vocabulary, Hidden]);
        yield return ("model.norm.weight", [Hidden]);
        if (!Tied) yield return ("lm_head.weight", [Vocabulary, Hidden]);
        for (int i = 0; i < Layers; i++)
        {
            string layer = $"model.layers.{i}.";
            yield return (layer + "input_layernorm.weight", [Hidden]);
            yield return (layer + "self_attn.q_proj.weight", [Heads * HeadLength, Hidden]);
            yield return (layer + "self_attn.k_proj.weight", [KvHeads * HeadLength, Hidden]);
            yield return (layer + "self_attn.v_proj.weight", [KvHeads * HeadLength, Hidden]);
            yield return (layer + "self_attn.o_proj.weight", [Hidden, Heads * HeadLength]);
            yield return (layer + "post_attention_layernorm.weight", [Hidden]);
            if (IsMixture)
            {
                yield return (layer + "block_sparse_moe.gate.weight", [Experts.All, Hidden]);
                for (int expert = 0; expert < Experts.All; expert++)
                {
                    yield return ($"{layer}block_sparse_moe.experts.{expert}.w1.weight", [FeedForward, Hidden]);
                    yield return ($"{layer}block_sparse_moe.experts.{expert}.w3.weight", [FeedForward, Hidden]);
                    yield return ($"{layer}block_sparse_moe.experts.{expert}.w2.weight", [Hidden, FeedForward]);
                }
            }
            else
            {
                yield return (layer + "mlp.gate_proj.weight", [FeedForward, Hidden]);
                yield return (layer + "mlp.up_proj.weight", [FeedForward, Hidden]);
                yield return (layer + "mlp.down_proj.weight", [Hidden, FeedForward]);
            }
            if (Class == "Qwen2ForCausalLM")
            {
                yield return (layer + "self_attn.q_proj.bias", [Heads * HeadLength]);
                yield return (layer + "self_attn.k_proj.bias", [KvHeads * HeadLength]);
                yield return (layer + "self_attn.v_proj.bias", [KvHeads * HeadLength]);
            }
        }
    }

    /// <summary>Writes config.json and model.safetensors.</summary>
    public void Write(string folder)
    {
        var random = new Random(1);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config().ToJsonString());
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), [.. Tensors().Select(tensor => (tensor.Name, "F32", tensor.Shape, Values(random, tensor.Shape)))]);
    }

    private static byte[] Values(Random random, long[] shape)
    {
        var values = new float[shape.Aggregate(1L, (product, extent) => product * extent)];
        for (int i = 0; i < values.Length; i++) values[i] = (random.NextSingle() + random.NextSingle() - 1) * 0.2f;
        return MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
    }
}
