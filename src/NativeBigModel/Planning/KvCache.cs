namespace NativeBigModel.Planning;

/// <summary>The size of the KV cache as llama.cpp allocates it.</summary>
public static class KvCache
{
    // llama.cpp rounds the context up to this many tokens (llama-context.cpp, n_ctx).
    private const int CellGroup = 256;

    /// <summary>The types that a KV cache may have.</summary>
    public static IReadOnlyList<TensorType> Types { get; } = [TensorType.F16, TensorType.BF16, TensorType.F32, TensorType.Q8_0, TensorType.Q4_0];

    /// <summary>
    /// Whether several conversations share one range of cells, so that a batch with tokens of all of them stays one batch. llama.cpp then takes their whole number of cells
    /// for the context's length, by which LongRoPE picks its factors; there each conversation has cells of its own.
    /// </summary>
    internal static bool SharesCells(ModelShape model, int sessions) => sessions > 1 && model.UsualContextLength is null;

    /// <summary>Tokens that one layer keeps for one conversation: the whole context, or with a sliding window the window and one batch.</summary>
    public static long Cells(LayerShape layer, int contextLength, int batchSize) => Cells(layer, contextLength, batchSize, sessions: 1);

    /// <summary>Tokens that one layer keeps for several conversations that share cells: the whole context of each, or with a sliding window the window of each and one batch.</summary>
    private static long Cells(LayerShape layer, int contextLength, int batchSize, int sessions)
    {
        ArgumentNullException.ThrowIfNull(layer);
        long all = sessions * Pad(contextLength);
        return layer.SlidingWindow is { } window ? Math.Min(all, Pad((long)window * sessions + batchSize)) : all;
    }

    /// <summary>
    /// Bytes of one layer's keys and values: for each token, the row of all key heads and the row of all value heads, or the one compressed row of latent attention;
    /// for a state space, the state of one sequence, always in F32 (llama-memory-recurrent.cpp, n_embd_r and n_embd_s).
    /// </summary>
    public static long LayerBytes(LayerShape layer, TensorType type, int contextLength, int batchSize) => LayerBytes(layer, type, contextLength, batchSize, sessions: 1, shared: false);

    /// <summary>The same for several conversations, which share cells or have their own.</summary>
    internal static long LayerBytes(LayerShape layer, TensorType type, int contextLength, int batchSize, int sessions, bool shared)
    {
        ArgumentNullException.ThrowIfNull(layer);
        if (!shared || layer.State is not null) return checked(sessions * CellBytes(layer, type, contextLength, batchSize, 1));
        return CellBytes(layer, type, contextLength, batchSize, sessions);
    }

    /// <summary>Tokens as llama.cpp rounds a context up.</summary>
    internal static long Pad(long cells) => (cells + CellGroup - 1) / CellGroup * CellGroup;

    private static long CellBytes(LayerShape layer, TensorType type, int contextLength, int batchSize, int sessions)
    {
        if (layer.State is { } state) return checked(4L * (Math.Max(0, state.Kernel - 1) + state.StateLength) * state.InnerLength);
        long keys = type.RowBytes((long)layer.KvHeadCount * layer.KeyLength), values = layer.Latent is null ? type.RowBytes((long)layer.KvHeadCount * layer.ValueLength) : 0;
        return checked((keys + values) * Cells(layer, contextLength, batchSize, sessions));
    }
}
