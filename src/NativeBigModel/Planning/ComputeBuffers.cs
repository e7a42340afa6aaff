namespace NativeBigModel.Planning;

/// <summary>
/// Bytes that devices need beside weights and caches while they compute: llama.cpp lays out the largest graph when a context is made. Given by the engine for a plan, or
/// else estimated.
/// </summary>
internal sealed class ComputeBuffers
{
    // Rows of logits that a context keeps.
    private const int MaxOutputs = 16;

    private const int Inputs = 6; // a token's own: its number, its positions, its rows in the cache

    private readonly IReadOnlyDictionary<string, long>? _given;
    private readonly long _gpu, _host, _outputRows;

    /// <param name="model">The model.</param>
    /// <param name="options">Bytes by device, if they are known.</param>
    /// <param name="context">Tokens that a conversation may hold.</param>
    /// <param name="batch">Tokens that are computed together.</param>
    public ComputeBuffers(ModelShape model, PlanOptions options, int context, int batch)
    {
        _given = options.ComputeBytes;
        long tokens = Math.Min(batch, context), cells = KvCache.Pad(context);
        // What is alive at once in the widest place of a layer, in F32: four rows of the residual stream, and three of the feed-forward network (of all experts that a
        // token passes), or of attention. To within a few bytes a token this is what the engine says of dense models and mixtures with fused attention.
        long width = model.EmbeddingLength, inner = model.Layers.Max(InnerWidth), heads = model.Layers.Max(layer => (long)layer.HeadCount * Math.Max(layer.KeyLength, layer.ValueLength));
        long scores = options.FlashAttention ? 0 : model.Layers.Max(layer => layer.HeadCount) * cells * 2;
        long mask = cells * (options.FlashAttention ? 2 : 4);
        _gpu = tokens * (4 * (4 * width + Math.Max(3 * inner, 3 * heads) + Inputs + scores) + mask);
        _outputRows = Math.Min(MaxOutputs, tokens) * 4L * model.VocabularySize;
        _host = tokens * (4 * 2 * width + mask);
        long InnerWidth(LayerShape layer) => Math.Max(layer.FeedForwardLength, Math.Max(layer.State?.InnerLength ?? 0, (long)layer.ExpertLength * Math.Max(1, model.ExpertUsedCount) + layer.SharedExpertLength));
    }

    /// <summary>Whether somebody asked the engine.</summary>
    public bool Measured => _given is not null;

    /// <summary>Bytes on a device that computes layers.</summary>
    /// <param name="device">A GPU, or the host.</param>
    /// <param name="gpus">Whether GPUs compute anything in this plan; else the host computes all of it.</param>
    public long On(string device, bool gpus) =>
        device == DeviceName.Disk ? 0 : _given is not null ? _given.GetValueOrDefault(device) : device == DeviceName.Host && gpus ? _host : Math.Max(_gpu, _outputRows);
}
