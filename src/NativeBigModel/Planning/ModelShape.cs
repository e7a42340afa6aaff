using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>Everything about a model that decides bytes: its hyperparameters and the name, shape and type of every tensor. Holds no data and no file.</summary>
public sealed record ModelShape
{
    /// <summary>llama.cpp's name of the architecture, for example <c>llama</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary>The model's own name.</summary>
    public required string Name { get; init; }

    /// <summary>How the model is driven.</summary>
    public ModelKind Kind { get; init; }

    /// <summary>Width of the residual stream, in elements.</summary>
    public required int EmbeddingLength { get; init; }

    /// <summary>Rows of the token embedding.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Kinds of text that have an embedding of their own (BERT's segments); 0 where there are none.</summary>
    public int TokenTypeCount { get; init; }

    /// <summary>Longest context, in tokens, for which the model computes what its authors defined.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Why <see cref="ContextLength"/> is less than the model's authors defined, in one sentence, or null where it is not.</summary>
    public string? ContextCap { get; init; }

    /// <summary>The context to plan for where none is asked for, in tokens, where a longer one changes what the model computes for every text; null elsewhere.</summary>
    public int? UsualContextLength { get; init; }

    /// <summary>One entry per transformer layer.</summary>
    public required ImmutableArray<LayerShape> Layers { get; init; }

    /// <summary>Experts in each mixture-of-experts layer; 0 for a dense model.</summary>
    public int ExpertCount { get; init; }

    /// <summary>Experts of each layer that one token passes; 0 for a dense model.</summary>
    public int ExpertUsedCount { get; init; }

    /// <summary>The tensors as they will stand in memory or in a GGUF file, in file order.</summary>
    public ImmutableArray<TensorSpec> Tensors { get; init; } = [];

    /// <summary>Bytes of all tensors.</summary>
    public long WeightBytes => Tensors.Sum(tensor => tensor.Bytes);

    /// <summary>The <see cref="ContextCap"/> of a model with a sliding window that the graph has not.</summary>
    internal static string WindowCap(int tokens, string architecture) =>
        $"the context is capped at {tokens} tokens: beyond that the model attends through a sliding window, which llama.cpp's {architecture} graph does not have";

    /// <summary>Number of parameters.</summary>
    public long ParameterCount => Tensors.Sum(tensor => tensor.Elements);
}

/// <summary>The hyperparameters of one transformer layer.</summary>
/// <param name="HeadCount">Query heads.</param>
/// <param name="KvHeadCount">Key and value heads; fewer than <paramref name="HeadCount"/> with grouped-query attention.</param>
/// <param name="KeyLength">Elements of one key (and query) head.</param>
/// <param name="ValueLength">Elements of one value head.</param>
/// <param name="FeedForwardLength">Width of the feed-forward network, in elements.</param>
/// <param name="SlidingWindow">Tokens that attention reaches back, or null where it reaches the whole context.</param>
public sealed record LayerShape(int HeadCount, int KvHeadCount, int KeyLength, int ValueLength, int FeedForwardLength, int? SlidingWindow = null)
{
    /// <summary>Elements at the beginning of a head that rotary positions turn; 0 without such positions.</summary>
    public int RotaryLength { get; init; } = KeyLength;

    /// <summary>Width of one expert; 0 in a layer without experts.</summary>
    public int ExpertLength { get; init; }

    /// <summary>Width of the expert that every token passes; 0 where there is none.</summary>
    public int SharedExpertLength { get; init; }

    /// <summary>How attention's queries, keys and values are compressed, or null where they are not.</summary>
    public LatentAttention? Latent { get; init; }

    /// <summary>Buckets of distances between tokens, each with a bias on attention; 0 without such positions.</summary>
    public int PositionBuckets { get; init; }

    /// <summary>Whether an encoder has a layer of this number and its decoder has none.</summary>
    public bool EncoderOnly { get; init; }

    /// <summary>The state space in place of attention, or null.</summary>
    public StateSpace? State { get; init; }
}

/// <summary>Multi-head latent attention: the cache holds one compressed row for all heads, and no values beside it.</summary>
/// <param name="QueryRank">Elements of a compressed query; 0 where queries are not compressed.</param>
/// <param name="Rank">Elements of a compressed key and value.</param>
/// <param name="PlainLength">Elements of one head's key that carry no position.</param>
/// <param name="HeadValueLength">Elements of one head's value.</param>
public sealed record LatentAttention(int QueryRank, int Rank, int PlainLength, int HeadValueLength);

/// <summary>A selective state space (Mamba): a sequence keeps a state of fixed size.</summary>
/// <param name="Kernel">Tokens that the convolution reaches over.</param>
/// <param name="InnerLength">Channels.</param>
/// <param name="StateLength">Elements of one channel's state.</param>
/// <param name="StepRank">Elements that the step size is made from.</param>
public sealed record StateSpace(int Kernel, int InnerLength, int StateLength, int StepRank);
