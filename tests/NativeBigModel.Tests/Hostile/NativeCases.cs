namespace NativeBigModel.Tests.Hostile;

/// <summary>GGUF files that are well formed, or nearly so, each one beside something that llama.cpp asserts.</summary>
internal static class NativeCases
{
    private const string Tokens = "tokenizer.ggml.tokens";

    public static readonly Dictionary<string, Action<RawGguf>> All = new()
    {
        ["tokens the same"] = gguf => ((string[])gguf[Tokens])[5] = ((string[])gguf[Tokens])[6],
        ["an empty token"] = gguf => ((string[])gguf[Tokens])[5] = "",
        ["merges malformed"] = gguf => gguf["tokenizer.ggml.merges"] = new[] { "", " ", "a", "a  b", " a b" },
        ["all tokens bytes"] = gguf => gguf["tokenizer.ggml.token_type"] = Enumerable.Repeat(6, TinyCheckpoint.VocabularySize).ToArray(),
        ["tokenizer unknown to llama.cpp"] = gguf => gguf["tokenizer.ggml.model"] = "quux",
        ["tokenizer of rwkv"] = gguf => gguf["tokenizer.ggml.model"] = "rwkv",
        ["tokenizer none, and tokens"] = gguf => gguf["tokenizer.ggml.model"] = "none",
        ["BOS none, and added"] = gguf => { gguf["tokenizer.ggml.bos_token_id"] = uint.MaxValue; gguf["tokenizer.ggml.add_bos_token"] = true; },
        ["architecture unknown to llama.cpp"] = gguf => Rename(gguf, "quux"),
        ["architecture of a projector"] = gguf => Rename(gguf, "clip"),
        ["norm in F16"] = gguf => gguf.Retype("output_norm.weight", TensorType.F16),
        ["embedding in BF16"] = gguf => gguf.Retype("token_embd.weight", TensorType.BF16),
        ["projection in I32"] = gguf => gguf.Retype("blk.0.attn_q.weight", TensorType.I32),
        ["eps infinite"] = gguf => gguf["llama.attention.layer_norm_rms_epsilon"] = float.PositiveInfinity,
        ["rope base tiny"] = gguf => gguf["llama.rope.freq_base"] = float.Epsilon,
        ["yarn of no tokens"] = gguf => { gguf["llama.rope.scaling.type"] = "yarn"; gguf["llama.rope.scaling.factor"] = 4f; gguf["llama.rope.scaling.original_context_length"] = 0u; },
        ["next-token layer"] = gguf => gguf["llama.nextn_predict_layers"] = 1u,
        ["not causal"] = gguf => gguf["llama.attention.causal"] = false,
        ["pooling unknown"] = gguf => gguf["llama.pooling_type"] = 77u,
        ["SentencePiece without scores"] = gguf => gguf.Remove("tokenizer.ggml.scores"),
        ["SentencePiece byte missing"] = gguf => ((string[])gguf[Tokens])[9] = "quux",
    };

    /// <summary>Makes it a file of another architecture, with the keys that it has.</summary>
    public static void Rename(RawGguf gguf, string architecture)
    {
        for (int i = 0; i < gguf.Keys.Count; i++)
            if (gguf.Keys[i].Key is string key && key.StartsWith("llama.", StringComparison.Ordinal)) gguf.Keys[i] = (architecture + key["llama".Length..], gguf.Keys[i].Value);
        gguf["general.architecture"] = architecture;
    }
}
