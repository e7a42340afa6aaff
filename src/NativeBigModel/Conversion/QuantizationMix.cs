using NativeBigModel.Planning;

namespace NativeBigModel.Conversion;

/// <summary>
/// Which type each tensor gets in a model of a given <see cref="WeightType"/>. The choices are llama.cpp's (src/llama-quant.cpp, v0.5.0), so that a model converted here equals one that llama-quantize made; a test compares the two, tensor by tensor.
/// </summary>
internal sealed class QuantizationMix
{
    private readonly ModelShape _shape;
    private readonly WeightType _mix;
    private readonly TensorType _base;
    private readonly bool _tied;
    private readonly bool _weighed;
    private readonly int _sensitiveCount;
    private int _sensitiveIndex;
    private int _downIndex;

    private QuantizationMix(ModelShape shape, WeightType mix, TensorType baseType, IReadOnlyList<TensorSpec> stored, bool weighed)
    {
        (_shape, _mix, _base, _weighed) = (shape, mix, baseType, weighed);
        _tied = !stored.Any(tensor => tensor.Name == "output.weight");
        _sensitiveCount = stored.Count(tensor => RoleOf(tensor.Name) is Role.Value or Role.FusedQkv);
    }

    private enum Role { Other, Output, TokenEmbedding, Value, Key, Query, FusedQkv, AttentionOutput, FeedForwardDown, FeedForwardIn }

    /// <summary>The types, in the order of <paramref name="stored"/>; a tensor's own type where it keeps it.</summary>
    /// <param name="shape">The model.</param>
    /// <param name="mix">The mixture.</param>
    /// <param name="stored">The tensors in the types that they have.</param>
    /// <param name="overrides">Types that go before the mixture's; the first whose pattern matches decides.</param>
    /// <param name="weighed">Whether there is an importance matrix.</param>
    /// <exception cref="InvalidOptionException">A pattern matches no weight.</exception>
    public static TensorType[] Choose(ModelShape shape, WeightType mix, IReadOnlyList<TensorSpec> stored, IReadOnlyList<TypeOverride>? overrides = null, bool weighed = false)
    {
        TypeOverride? unused = overrides?.FirstOrDefault(one => !stored.Any(tensor => IsWeight(tensor) && one.Matches(tensor.Name)));
        if (unused is not null) throw new InvalidOptionException($"'{unused.Pattern}' matches the name of no weight of this model, such as {stored.First(IsWeight).Name}");
        var chooser = mix.BaseType() is { } baseType ? new QuantizationMix(shape, mix, baseType, stored, weighed) : null;
        var types = new TensorType[stored.Count];
        // The rules count sensitive tensors in layer order, whatever the order in the file.
        foreach (int i in Enumerable.Range(0, stored.Count).OrderBy(i => stored[i].Layer))
        {
            TensorSpec tensor = stored[i];
            TypeOverride? own = IsWeight(tensor) ? overrides?.FirstOrDefault(one => one.Matches(tensor.Name)) : null;
            types[i] = own is not null ? Fitting(own.Type, tensor.Columns) : chooser?.Choose(tensor) ?? AsStored(tensor);
        }
        return types;
    }

    private static TensorType AsStored(TensorSpec tensor) => IsWeight(tensor) || tensor.Type.IsQuantized() ? tensor.Type : TensorType.F32;

    // Vectors and routing weights are small and decide much: they stay in full precision.
    private static bool IsWeight(TensorSpec tensor) =>
        tensor.Dimensions.Length >= 2
        && tensor.Name.EndsWith("weight", StringComparison.Ordinal)
        && !tensor.Name.Contains("_norm.weight", StringComparison.Ordinal)
        && !tensor.Name.Contains("ffn_gate_inp.weight", StringComparison.Ordinal)
        && !tensor.Name.Contains("ssm_conv1d", StringComparison.Ordinal)
        && !tensor.Name.EndsWith("attn_rel_b.weight", StringComparison.Ordinal)
        && tensor.Name is not ("position_embd.weight" or "token_types.weight");

    private TensorType Choose(TensorSpec tensor)
    {
        if (!IsWeight(tensor)) return TensorType.F32;
        return _base.IsQuantized() ? Fitting(MixType(tensor), tensor.Columns) : _base;
    }

    private TensorType MixType(TensorSpec tensor)
    {
        Role role = RoleOf(tensor.Name);
        bool isOutput = role == Role.Output || (role == Role.TokenEmbedding && _tied);
        if (_mix == WeightType.MXFP4_MOE) return !isOutput && tensor.Dimensions.Length > 2 ? TensorType.MXFP4 : TensorType.Q8_0;
        if (isOutput)
        {
            if (IsFalcon || tensor.Columns % _base.BlockSize() != 0 || _base == TensorType.Q8_0) return TensorType.Q8_0;
            return IsTiny || _mix == WeightType.IQ3_XXS ? TensorType.Q5_K : TensorType.Q6_K;
        }
        if (IsTiny) return TinyType(role);
        return role switch
        {
            Role.TokenEmbedding when _mix == WeightType.IQ3_XXS => TensorType.IQ3_S,
            Role.TokenEmbedding when _mix is WeightType.TQ1_0 or WeightType.TQ2_0 or WeightType.Q2_0 => TensorType.Q4_K,
            Role.Value or Role.FusedQkv => SensitiveType(),
            Role.Key when _shape.ExpertCount == 8 => TensorType.Q8_0,
            Role.Key or Role.Query when _mix == WeightType.IQ3_XS => TensorType.IQ3_XXS,
            Role.Key or Role.Query when _mix == WeightType.IQ3_XXS => TensorType.IQ2_S,
            Role.FeedForwardIn when _mix == WeightType.IQ3_XS && tensor.Layer >= _shape.Layers.Length / 8 && tensor.Layer < 7 * _shape.Layers.Length / 8 => TensorType.IQ3_XXS,
            Role.FeedForwardDown => FeedForwardDownType(tensor.Layer),
            Role.AttentionOutput => AttentionOutputType(),
            _ => _base,
        };
    }

    private bool IsTiny => _mix is WeightType.IQ2_M or WeightType.IQ2_S or WeightType.IQ2_XS or WeightType.IQ2_XXS or WeightType.IQ1_M or WeightType.IQ1_S;

    // At one or two bits the rules are others.
    private TensorType TinyType(Role role)
    {
        bool larger = _mix is WeightType.IQ2_S or WeightType.IQ2_M;
        return role switch
        {
            Role.TokenEmbedding => larger ? TensorType.IQ3_S : TensorType.Q2_K,
            Role.Value or Role.FusedQkv => GroupedHeads >= 4 || _shape.ExpertCount >= 4 ? TensorType.Q4_K : larger ? TensorType.IQ3_S : TensorType.Q2_K,
            Role.Key when _shape.ExpertCount == 8 => TensorType.Q4_K,
            Role.FeedForwardDown when _downIndex++ < _shape.Layers.Length / 8 => larger ? TensorType.IQ3_S : TensorType.Q2_K,
            Role.AttentionOutput when _shape.ExpertCount == 8 => TensorType.Q5_K,
            Role.AttentionOutput when _mix is WeightType.IQ1_S or WeightType.IQ1_M => TensorType.IQ2_XXS,
            Role.AttentionOutput when larger => TensorType.IQ3_S,
            _ => _base,
        };
    }

    private TensorType SensitiveType()
    {
        int index = _sensitiveIndex++;
        TensorType type = _mix switch
        {
            WeightType.Q2_K => GroupedHeads >= 4 ? TensorType.Q4_K : TensorType.Q3_K,
            WeightType.Q3_K_M => index < 2 ? TensorType.Q5_K : TensorType.Q4_K,
            WeightType.Q3_K_L => TensorType.Q5_K,
            WeightType.Q4_K_M or WeightType.Q5_K_M when WantsMoreBits(index, _sensitiveCount) => TensorType.Q6_K,
            WeightType.Q4_K_S when index < 4 => TensorType.Q5_K,
            WeightType.IQ3_XXS when GroupedHeads < 4 => _weighed ? TensorType.IQ3_XXS : TensorType.IQ3_S,
            WeightType.IQ3_M => TensorType.Q4_K,
            WeightType.Q2_K_S or WeightType.IQ3_XXS or WeightType.IQ3_XS or WeightType.IQ3_S when GroupedHeads >= 4 => TensorType.Q4_K,
            WeightType.IQ4_NL or WeightType.IQ4_XS when GroupedHeads >= 4 => TensorType.Q5_K,
            _ => _base,
        };
        if (Is70B && type is (TensorType.Q3_K or TensorType.Q4_K)) type = TensorType.Q5_K;
        return _shape.ExpertCount == 8 ? TensorType.Q8_0 : type;
    }

    private TensorType FeedForwardDownType(int layer)
    {
        int layers = _shape.Layers.Length;
        return _mix switch
        {
            WeightType.Q2_K => TensorType.Q3_K,
            WeightType.Q3_K_M => layer < layers / 16 ? TensorType.Q5_K : !IsFalcon || WantsMoreBits(layer, layers) ? TensorType.Q4_K : TensorType.Q3_K,
            WeightType.Q3_K_L => IsFalcon ? TensorType.Q4_K : TensorType.Q5_K,
            WeightType.Q4_K_M when IsFalcon => layer < layers / 16 ? TensorType.Q6_K : WantsMoreBits(layer, layers) ? TensorType.Q5_K : TensorType.Q4_K,
            WeightType.Q4_K_M or WeightType.Q5_K_M when WantsMoreBits(layer, layers) => TensorType.Q6_K,
            WeightType.Q4_K_S when !IsFalcon && layer < layers / 8 => TensorType.Q5_K,
            WeightType.Q2_K_S when layer < layers / 8 => TensorType.Q4_K,
            WeightType.IQ3_XXS when !_weighed => layer < layers / 8 ? TensorType.Q4_K : TensorType.Q3_K,
            WeightType.IQ3_M when layer < layers / 8 || (_shape.ExpertCount == 8 && WantsMoreBits(layer, layers)) => TensorType.Q4_K,
            WeightType.IQ4_NL or WeightType.IQ4_XS when layer < layers / 8 && !_weighed => TensorType.Q5_K,
            WeightType.Q4_0 when _weighed && layer < layers / 8 => TensorType.Q4_1,
            WeightType.Q5_0 when _weighed && layer < layers / 8 => TensorType.Q5_1,
            _ => _base,
        };
    }

    private TensorType AttentionOutputType() => _shape.ExpertCount == 8 && !IsFalcon
        ? _mix switch
        {
            WeightType.Q2_K or WeightType.Q3_K_S or WeightType.Q3_K_M or WeightType.Q4_K_S or WeightType.Q4_K_M => TensorType.Q5_K,
            WeightType.IQ3_XXS or WeightType.IQ3_XS or WeightType.IQ3_S or WeightType.IQ3_M or WeightType.IQ4_NL or WeightType.IQ4_XS => TensorType.Q5_K,
            _ => _base,
        }
        : _mix switch
        {
            WeightType.Q3_K_L when IsFalcon => TensorType.Q4_K,
            WeightType.Q2_K when !IsFalcon => TensorType.Q3_K,
            WeightType.Q3_K_M when !IsFalcon => TensorType.Q4_K,
            WeightType.Q3_K_L => TensorType.Q5_K,
            WeightType.IQ3_XXS when !IsFalcon => TensorType.IQ3_S,
            WeightType.IQ3_M when !IsFalcon => TensorType.Q4_K,
            _ => _base,
        };

    private bool IsFalcon => _shape.Architecture == "falcon";

    // The first and last eighth of the layers, and every third one between.
    private static bool WantsMoreBits(int index, int count) =>
        index < count / 8 || index >= 7 * count / 8 || (index - count / 8) % 3 == 2;

    private int GroupedHeads => _shape.Layers[0].HeadCount / Math.Max(1, _shape.Layers[0].KvHeadCount);

    // llama.cpp's LLM_TYPE_70B: 80 layers, and for the llama graph fewer key heads than query heads.
    private bool Is70B => _shape.Layers.Length == 80
        && (_shape.Architecture == "qwen2" || (_shape.Architecture == "llama" && _shape.ExpertCount != 8 && GroupedHeads > 1));

    // A row that is no multiple of its block takes the nearest type with blocks of 32, and one that is no multiple of 32 stays a float. (llama-quantize refuses such a row of Q1_0.)
    private static TensorType Fitting(TensorType type, long columns)
    {
        if (columns % type.BlockSize() == 0) return type;
        TensorType smaller = type switch
        {
            TensorType.Q2_K or TensorType.Q3_K or TensorType.TQ1_0 or TensorType.TQ2_0 or TensorType.Q2_0 => TensorType.Q4_0,
            TensorType.Q4_K => TensorType.Q5_0,
            TensorType.Q5_K => TensorType.Q5_1,
            TensorType.Q6_K => TensorType.Q8_0,
            TensorType.IQ1_S or TensorType.IQ1_M or TensorType.IQ2_XXS or TensorType.IQ2_XS or TensorType.IQ2_S or TensorType.IQ3_XXS or TensorType.IQ3_S or TensorType.IQ4_XS => TensorType.IQ4_NL,
            _ => type,
        };
        return columns % smaller.BlockSize() == 0 ? smaller : TensorType.F16;
    }

    private static Role RoleOf(string name) => name switch
    {
        "output.weight" => Role.Output,
        "token_embd.weight" or "per_layer_token_embd.weight" => Role.TokenEmbedding,
        _ when name.Contains("attn_qkv.weight", StringComparison.Ordinal) => Role.FusedQkv,
        _ when name.Contains("attn_v.weight", StringComparison.Ordinal) => Role.Value,
        _ when name.Contains("attn_kv_b.weight", StringComparison.Ordinal) => Role.Value,
        _ when name.Contains("attn_k.weight", StringComparison.Ordinal) => Role.Key,
        _ when name.Contains("attn_q.weight", StringComparison.Ordinal) => Role.Query,
        _ when name.Contains("attn_output.weight", StringComparison.Ordinal) => Role.AttentionOutput,
        _ when name.Contains("ffn_down", StringComparison.Ordinal) => Role.FeedForwardDown,
        _ when name.Contains("ffn_up", StringComparison.Ordinal) || name.Contains("ffn_gate", StringComparison.Ordinal) => Role.FeedForwardIn,
        _ => Role.Other,
    };
}
