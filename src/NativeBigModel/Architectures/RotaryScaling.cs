using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Architectures;

/// <summary>
/// Rotary position scaling of a Hugging Face configuration, in both spellings: <c>rope_parameters</c> (transformers 5) and
/// <c>rope_theta</c> beside <c>rope_scaling</c> (before). The formulas are those of transformers, modeling_rope_utils.py.
/// </summary>
internal sealed class RotaryScaling
{
    private enum Kind { None, Linear, Llama3, Yarn, Long }

    private readonly Kind _kind;
    private readonly int _dimensions;
    private readonly float _base;
    private readonly float _factor;
    private readonly int _originalContext;
    private readonly ConfigReader? _parameters;

    private RotaryScaling(ConfigReader config, ConfigReader? parameters, int dimensions, float defaultBase, int defaultContext)
    {
        _parameters = parameters;
        _dimensions = dimensions;
        _base = parameters?.OptionalFloat("rope_theta", 1, 1e12f) ?? config.OptionalFloat(config.FirstOf("rope_theta", "rotary_emb_base"), 1, 1e12f) ?? defaultBase;
        _kind = ReadKind(parameters);
        int context = config.OptionalInt(config.FirstOf("max_position_embeddings", "n_positions", "max_seq_len"), 1, 1 << 30) ?? defaultContext;
        _originalContext = parameters?.OptionalInt("original_max_position_embeddings", 1, 1 << 30)
            ?? config.OptionalInt("original_max_position_embeddings", 1, 1 << 30) ?? context;
        _factor = _kind is Kind.None or Kind.Long ? 1 : parameters!.OptionalFloat("factor", 1, 1e6f) ?? Math.Max(1, (float)context / _originalContext);
        ContextLength = _kind == Kind.Yarn ? (int)Math.Max(context, Math.Min(1 << 30, (double)_originalContext * _factor)) : context;
    }

    /// <summary>Tokens for which the scaling is defined.</summary>
    public int ContextLength { get; }

    /// <summary>Reads the configuration of heads of which <paramref name="dimensions"/> elements are turned.</summary>
    public static RotaryScaling Read(ConfigReader config, int dimensions, float defaultBase = 10000, int defaultContext = 2048) =>
        new(config, Parameters(config), dimensions, defaultBase, defaultContext);

    /// <summary>The object that holds the parameters, in either spelling; where kinds of layers have their own, that of the layers without a window.</summary>
    public static ConfigReader? Parameters(ConfigReader config)
    {
        ConfigReader? all = config.OptionalObject("rope_parameters") ?? config.OptionalObject("rope_scaling");
        return all is not null && all.Has("full_attention") ? all.OptionalObject("full_attention") : all;
    }

    /// <summary>Writes the <c>rope.*</c> keys and returns the frequency divisors, where the scaling is expressed by them.</summary>
    /// <exception cref="UnsupportedModelException">The graph reads no divisors and the keys alone cannot say it.</exception>
    public float[]? Write(GgufMetadata metadata, string architecture, bool graphReadsFactors)
    {
        void Set(string key, object value) => metadata[$"{architecture}.rope.{key}"] = value;
        Set("freq_base", _base);
        switch (_kind)
        {
            case Kind.None:
                return null;
            case Kind.Linear:
                Set("scaling.type", "linear");
                Set("scaling.factor", _factor);
                return null;
            case Kind.Yarn when YarnIsLlamaCpps:
                Set("scaling.type", "yarn");
                Set("scaling.factor", _factor);
                Set("scaling.original_context_length", (uint)_originalContext);
                if (AttentionFactor / DefaultAttentionFactor is var ratio and not 1) Set("scaling.attn_factor", ratio);
                return null;
        }
        if (!graphReadsFactors || _kind == Kind.Long)
            throw new UnsupportedModelException($"config.json: rope_scaling: {_kind} scaling with these parameters cannot be expressed in llama.cpp's {architecture} graph{Remedy}");
        Set("scaling.type", "none");
        if (_kind == Kind.Yarn) Set("scaling.attn_factor", AttentionFactor);
        return _kind == Kind.Yarn ? YarnFactors() : Llama3Factors();
    }

    /// <summary>The scaling that changes with the length of the text, or null where it is another.</summary>
    public LongRope? Long => _kind == Kind.Long ? new(_parameters!, _originalContext, ContextLength, _dimensions / 2) : null;

    /// <summary>
    /// Divisors by which a graph that turns <paramref name="headLength"/> elements turns only the first as this scaling has it, given its own divisors, if any.
    /// Pair i of the graph has frequency base^(-2i/headLength); it is brought to base^(-2i/dimensions), or to nothing.
    /// </summary>
    public float[] Spread(float[]? factors, int headLength) =>
    [
        .. Enumerable.Range(0, headLength / 2).Select(i => i >= _dimensions / 2
            ? Still
            : (float)((factors?[i] ?? 1) * Math.Pow(_base, 2.0 * i / _dimensions - 2.0 * i / headLength))),
    ];

    /// <summary>
    /// What the scores of latent attention are multiplied by for this scaling, as llama.cpp's deepseek2 graph can be told (deepseek2.cpp, llama-context.cpp): by a key where rotary
    /// positions keep their length, as they do in published models, and beyond that by a factor of the queries, for the graph multiplies by the square of that length, or of what YaRN would make of it.
    /// </summary>
    /// <param name="config">The configuration.</param>
    /// <param name="dimensions">Elements of a head that are turned.</param>
    public static (float? LogMultiplier, float Queries) LatentScale(ConfigReader config, int dimensions)
    {
        RotaryScaling rope = Read(config, dimensions, 10000, 4096);
        if (rope._kind == Kind.None) return (null, 1);
        float all = rope._parameters!.OptionalFloat("mscale_all_dim", 0, 1e6f) ?? 0, length = rope._kind == Kind.Yarn ? rope.AttentionFactor : rope.DefaultAttentionFactor;
        if (rope._kind == Kind.Yarn && all != 0 && length == 1) return (0.1f * all, 1);
        float ratio = (all == 0 ? 1 : rope.Magnitude(all)) / length;
        return (null, ratio * ratio);
    }

    // A divisor that leaves less than half a unit in the last place of any angle that a context reaches.
    private const float Still = 1e30f;

    private static Kind ReadKind(ConfigReader? parameters) =>
        (parameters?.OptionalString("rope_type") ?? parameters?.OptionalString("type") ?? "default") switch
        {
            // Dynamic NTK changes nothing up to max_position_embeddings, and the context ends there.
            "default" or "dynamic" => Kind.None,
            "linear" => Kind.Linear,
            "llama3" => Kind.Llama3,
            "yarn" => Kind.Yarn,
            "longrope" or "su" => Kind.Long,
            { } other => throw new UnsupportedModelException($"config.json: rope_scaling: type '{other}' is not supported for this family"),
        };

    private float BetaFast => _parameters!.OptionalFloat("beta_fast", 1e-3f, 1e6f) ?? 32;

    private float BetaSlow => _parameters!.OptionalFloat("beta_slow", 1e-3f, 1e6f) ?? 1;

    private string Remedy => _kind == Kind.Yarn && !Truncates && BetaFast == 32 && BetaSlow == 1 ? "; with truncate true it can, slightly otherwise than the model was trained: GGUF files of such models are so" : "";

    private bool Truncates => _parameters!.OptionalBool("truncate") ?? true;

    // llama.cpp's graphs take the default corners only.
    private bool YarnIsLlamaCpps => BetaFast == 32 && BetaSlow == 1 && Truncates;

    private float DefaultAttentionFactor => Magnitude(1);

    private float AttentionFactor
    {
        get
        {
            if (_parameters!.OptionalFloat("attention_factor", 1e-6f, 1e6f) is { } given) return given;
            float scale = _parameters.OptionalFloat("mscale", 0, 1e6f) ?? 0, all = _parameters.OptionalFloat("mscale_all_dim", 0, 1e6f) ?? 0;
            return scale != 0 && all != 0 ? Magnitude(scale) / Magnitude(all) : DefaultAttentionFactor;
        }
    }

    private float Magnitude(float scale) => _factor <= 1 ? 1 : 0.1f * scale * MathF.Log(_factor) + 1;

    private float[] YarnFactors()
    {
        double Corner(double rotations) => _dimensions * Math.Log(_originalContext / (rotations * 2 * Math.PI)) / (2 * Math.Log(_base));
        double low = Corner(BetaFast), high = Corner(BetaSlow);
        if (Truncates) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, _dimensions - 1));
        if (low == high) high += 0.001;
        return Factors(i => 1 - Math.Clamp((i - low) / (high - low), 0, 1));
    }

    private float[] Llama3Factors()
    {
        float low = _parameters!.Float("low_freq_factor", 1e-3f, 1e6f), high = _parameters.Float("high_freq_factor", 1e-3f, 1e6f);
        if (low == high) throw _parameters.Error("high_freq_factor", $"is {high} and must differ from low_freq_factor, {low}");
        return Factors(i => Math.Clamp((_originalContext / (2 * Math.PI * Math.Pow(_base, 2.0 * i / _dimensions)) - low) / (high - low), 0, 1));
    }

    // Each dimension keeps a share of its own frequency and takes the rest from the interpolated one; llama.cpp divides by the factor.
    private float[] Factors(Func<int, double> share) =>
        [.. Enumerable.Range(0, _dimensions / 2).Select(i => (float)(1 / ((1 - share(i)) / _factor + share(i))))];
}
