using NativeBigModel.Planning;

namespace NativeBigModel.Conversion;

/// <summary>
/// Which type each tensor gets in a model of a given <see cref="WeightType"/>. The choices are llama.cpp's (src/llama-quant.cpp, v0.5.0, without
/// an importance matrix), so that a model converted here equals one that llama-quantize made; a test compares the two, tensor by tensor.
/// </summary>
internal sealed class QuantizationMix
{
    private readonly ModelShape _shape;
    private readonly WeightType _mix;
    private readonly TensorType _base;
    private readonly bool _tied;
    private readonly int _sensitiveCount;
    private int _sensitiveIndex;

    private QuantizationMix(ModelShape shape, WeightType mix, TensorType baseType, IReadOnlyList<TensorSpec> stored)
    {
        (_shape, _mix, _base) = (shape, mix, baseType);
        _tied = !stored.Any(tensor => tensor.Name == "output.weight");
        _sensitiveCount = stored.Count(tensor => RoleOf(tensor.Name) is Role.Value or Role.FusedQkv);
    }

    private enum Role { Other, Output, TokenEmbedding, Value, Key, FusedQkv, AttentionOutput, FeedForwardDown }

    /// <summary>The types, in the order of <paramref name="stored"/>; a tensor's own type where it keeps it.</summary>
    public static TensorType[] Choose(ModelShape shape, WeightType mix, IReadOnlyList<TensorSpec> stored)
    {
        if (mix.BaseType() is not { } baseType) return [.. stored.Select(AsStored)];
        var chooser = new QuantizationMix(shape, mix, baseType, stored);
        var types = new TensorType[stored.Count];
        // The rules count sensitive tensors in layer order, whatever the order in the file.
        foreach (int i in Enumerable.Range(0, stored.Count).OrderBy(i => stored[i].Layer)) types[i] = chooser.Choose(stored[i]);
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
        if (role == Role.Output || (role == Role.TokenEmbedding && _tied))
            return IsFalcon || tensor.Columns % _base.BlockSize() != 0 || _base == TensorType.Q8_0 ? TensorType.Q8_0 : TensorType.Q6_K;
        return role switch
        {
            Role.Value or Role.FusedQkv => SensitiveType(),
            Role.Key when _shape.ExpertCount == 8 => TensorType.Q8_0,
            Role.FeedForwardDown => FeedForwardDownType(tensor.Layer),
            Role.AttentionOutput => AttentionOutputType(),
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
            _ => _base,
        };
    }

    private TensorType AttentionOutputType() => _shape.ExpertCount == 8
        ? _mix switch
        {
            WeightType.Q2_K or WeightType.Q3_K_S or WeightType.Q3_K_M or WeightType.Q4_K_S or WeightType.Q4_K_M => TensorType.Q5_K,
            _ => _base,
        }
        : _mix switch
        {
            WeightType.Q3_K_L when IsFalcon => TensorType.Q4_K,
            WeightType.Q2_K when !IsFalcon => TensorType.Q3_K,
            WeightType.Q3_K_M when !IsFalcon => TensorType.Q4_K,
            WeightType.Q3_K_L => TensorType.Q5_K,
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

    // A row that is no multiple of 256 takes the nearest type with blocks of 32, and one that is no multiple of 32 stays a float.
    private static TensorType Fitting(TensorType type, long columns)
    {
        if (columns % type.BlockSize() == 0) return type;
        TensorType smaller = type switch
        {
            TensorType.Q2_K or TensorType.Q3_K => TensorType.Q4_0,
            TensorType.Q4_K => TensorType.Q5_0,
            TensorType.Q5_K => TensorType.Q5_1,
            TensorType.Q6_K => TensorType.Q8_0,
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
        _ when name.Contains("attn_output.weight", StringComparison.Ordinal) => Role.AttentionOutput,
        _ when name.Contains("ffn_down", StringComparison.Ordinal) => Role.FeedForwardDown,
        _ => Role.Other,
    };
}
