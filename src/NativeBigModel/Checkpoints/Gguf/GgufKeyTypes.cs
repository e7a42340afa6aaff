namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>
/// The GGUF types in which llama.cpp reads the keys it knows (llama-arch.cpp, llama-model.cpp, llama-vocab.cpp); it takes no other. Its floats must be finite:
/// its operators assert on some that are not, and no model has one.
/// </summary>
internal static class GgufKeyTypes
{
    private static readonly Type[] s_text = [typeof(string)], s_count = [typeof(uint)], s_flag = [typeof(bool)], s_real = [typeof(float)];
    private static readonly Type[] s_perLayer = [typeof(uint), typeof(uint[]), typeof(int[])];

    private static readonly Dictionary<string, Type[]> s_common = new(StringComparer.Ordinal)
    {
        ["general.architecture"] = s_text, ["general.name"] = s_text, ["general.file_type"] = s_count, ["general.quantization_version"] = s_count,
        ["tokenizer.ggml.model"] = s_text, ["tokenizer.ggml.pre"] = s_text, ["tokenizer.chat_template"] = s_text, ["tokenizer.chat_templates"] = [typeof(string[])],
        ["tokenizer.ggml.tokens"] = [typeof(string[])], ["tokenizer.ggml.merges"] = [typeof(string[])],
        ["tokenizer.ggml.scores"] = [typeof(float[]), typeof(int[])], ["tokenizer.ggml.token_type"] = [typeof(int[])],
        ["tokenizer.ggml.suppress_tokens"] = [typeof(int[])], ["tokenizer.ggml.token_type_count"] = s_count,
        ["tokenizer.ggml.precompiled_charsmap"] = [typeof(byte[]), typeof(sbyte[])],
        ["tokenizer.ggml.add_bos_token"] = s_flag, ["tokenizer.ggml.add_eos_token"] = s_flag, ["tokenizer.ggml.add_sep_token"] = s_flag,
        ["tokenizer.ggml.normalizer.lowercase"] = s_flag, ["tokenizer.ggml.normalizer.strip_accents"] = s_flag,
        ["tokenizer.ggml.add_space_prefix"] = s_flag, ["tokenizer.ggml.remove_extra_whitespaces"] = s_flag,
    };

    // After the architecture's name.
    private static readonly Dictionary<string, Type[]> s_ofArchitecture = new(StringComparer.Ordinal)
    {
        ["context_length"] = s_count, ["embedding_length"] = s_count, ["embedding_length_out"] = s_count, ["decoder_block_count"] = s_count, ["decoder_start_token_id"] = s_count, ["attention.relative_buckets_count"] = s_count, ["block_count"] = s_count, ["vocab_size"] = s_count,
        ["feed_forward_length"] = s_perLayer, ["attention.head_count"] = s_perLayer, ["attention.head_count_kv"] = s_perLayer,
        ["attention.key_length"] = s_count, ["attention.value_length"] = s_count, ["attention.causal"] = s_flag, ["pooling_type"] = s_count,
        ["attention.layer_norm_rms_epsilon"] = s_real, ["attention.layer_norm_epsilon"] = s_real, ["nextn_predict_layers"] = s_count,
        ["expert_count"] = s_count, ["expert_used_count"] = s_perLayer, ["expert_group_count"] = s_count, ["expert_group_used_count"] = s_count,
        ["rope.dimension_count"] = s_count, ["rope.freq_base"] = s_real, ["rope.scale_linear"] = s_real, ["rope.scaling.type"] = s_text, ["rope.scaling.factor"] = s_real,
        ["rope.scaling.attn_factor"] = s_real, ["rope.scaling.original_context_length"] = s_count, ["rope.scaling.finetuned"] = s_flag,
    };

    // Keys whose value must be above zero, or at least zero.
    private static readonly string[] s_positive = ["rope.freq_base"];
    private static readonly string[] s_notNegative = ["rope.scaling.factor", "rope.scale_linear", "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"];

    /// <exception cref="CheckpointException">A value has another type, or a float is not one to compute with.</exception>
    public static void Check(GgufKeys keys, GgufMetadata metadata, string architecture)
    {
        string prefix = architecture + ".";
        foreach ((string key, object value) in metadata)
        {
            bool own = key.StartsWith(prefix, StringComparison.Ordinal);
            if (Expected(key, own ? key[prefix.Length..] : null) is { } types && !types.Contains(GgufTypes.Clr(value)))
                throw keys.Error(key, $"is {Name(GgufTypes.Clr(value))}, and llama.cpp reads {string.Join(" or ", types.Select(Name))}");
            if (own && value is float number) CheckFinite(keys, key, key[prefix.Length..], number);
        }
    }

    private static Type[]? Expected(string key, string? own)
    {
        if (s_common.TryGetValue(key, out Type[]? types) || (own is not null && s_ofArchitecture.TryGetValue(own, out types))) return types;
        return key.StartsWith("tokenizer.ggml.", StringComparison.Ordinal) && key.EndsWith("_token_id", StringComparison.Ordinal) ? s_count : null;
    }

    private static void CheckFinite(GgufKeys keys, string key, string own, float value)
    {
        if (!float.IsFinite(value)) throw keys.Error(key, $"is {value}, and must be finite");
        if (value <= 0 && s_positive.Contains(own)) throw keys.Error(key, $"is {value}, and must be above 0");
        if (value < 0 && s_notNegative.Contains(own)) throw keys.Error(key, $"is {value}, and must be at least 0");
    }

    private static string Name(Type type)
    {
        if (type.IsArray) return $"an array of {Name(type.GetElementType()!)}";
        return GgufTypes.TryGet(type, out GgufValueType named) ? named.ToString() : type.Name;
    }
}
