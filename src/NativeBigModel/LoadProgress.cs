namespace NativeBigModel;

/// <summary>What a long operation is doing.</summary>
public enum LoadPhase
{
    /// <summary>Reading, converting and placing tensors.</summary>
    Weights,
    /// <summary>Allocating the KV cache and compute buffers.</summary>
    Context,
    /// <summary>Done.</summary>
    Ready,
}

/// <summary>How far a load or a conversion is.</summary>
/// <param name="Phase">The step.</param>
/// <param name="BytesDone">Bytes of weights delivered.</param>
/// <param name="BytesTotal">Bytes of weights in all.</param>
public sealed record LoadProgress(LoadPhase Phase, long BytesDone, long BytesTotal);
