namespace NativeBigModel.Planning;

/// <summary>What to plan for.</summary>
public sealed record PlanOptions
{
    /// <summary>The context that is planned for where none is asked for, in tokens; a shorter model has its own.</summary>
    public const int DefaultContextLength = 4096;

    /// <summary>How the weights are stored.</summary>
    public WeightType WeightType { get; init; }

    /// <summary>Bytes per device; null for all that is free.</summary>
    public MemoryLimits? MaxMemory { get; init; }

    /// <summary>Tokens that one conversation may hold; null for <see cref="DefaultContextLength"/> or the model's own, whichever is less.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Type of the KV cache: F16, Q8_0, Q4_0, BF16 or F32.</summary>
    public TensorType KvType { get; init; } = TensorType.F16;

    /// <summary>Whether attention may use the engine's fused, lower-precision kernel. A quantised KV cache needs it.</summary>
    public bool FlashAttention { get; init; } = true;

    /// <summary>Tokens of a prompt that are computed together.</summary>
    public int BatchSize { get; init; } = 512;
}
