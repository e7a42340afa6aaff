using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>
/// Rotary scaling with one list of divisors for texts up to the original context and one for longer ones (transformers, modeling_rope_utils.py, longrope).
/// llama.cpp chooses once, by the context that it is made for, which it rounds up to a multiple of 256.
/// </summary>
/// <param name="parameters">The scaling's own object of the configuration.</param>
/// <param name="originalContext">Tokens up to which the short divisors hold.</param>
/// <param name="wholeContext">Tokens that the configuration states.</param>
/// <param name="pairs">Rotary pairs of a head.</param>
internal sealed class LongRope(ConfigReader parameters, int originalContext, int wholeContext, int pairs)
{
    private const int ContextGroup = 256;

    public int OriginalContext { get; } = originalContext;

    /// <summary>The longest context for which the right divisors are chosen.</summary>
    public int Reach => OriginalContext % ContextGroup == 0 ? wholeContext : Math.Min(OriginalContext, wholeContext);

    /// <summary>Why <see cref="Reach"/> is less than the whole context, or null where it is not.</summary>
    public string? Cap(string graph) => Reach == wholeContext ? null
        : $"the context is capped at {Reach} tokens: beyond that the model takes other rotary frequencies, and llama.cpp's {graph} graph changes them at multiples of {ContextGroup} only";

    public ArchitectureReading Write(ArchitectureReading reading)
    {
        int rounded = (OriginalContext + ContextGroup - 1) / ContextGroup * ContextGroup;
        reading.With("rope.scaling.type", "longrope").With("rope.scaling.original_context_length", (uint)rounded).With("rope.scaling.attn_factor", AttentionFactor);
        return reading with { Constants = [("rope_factors_short.weight", Divisors("short_factor")), ("rope_factors_long.weight", Divisors("long_factor"))] };
    }

    private float AttentionFactor
    {
        get
        {
            if (parameters.OptionalFloat("attention_factor", 1e-6f, 1e6f) is { } given) return given;
            double factor = (double)wholeContext / OriginalContext;
            return factor <= 1 ? 1 : (float)Math.Sqrt(1 + Math.Log(factor) / Math.Log(OriginalContext));
        }
    }

    private float[] Divisors(string key)
    {
        float[] values = [.. parameters.Floats(key, 1e-6f, 1e9f)];
        return values.Length == pairs ? values : throw parameters.Error(key, $"has {values.Length} entries for {pairs} rotary pairs");
    }
}
