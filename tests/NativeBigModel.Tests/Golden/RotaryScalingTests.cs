using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Architectures;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tests.Golden;

/// <summary>Frequency divisors against transformers' formulas (modeling_rope_utils.py), written as they stand there.</summary>
public class RotaryScalingTests
{
    private const int Dimensions = 128;
    private const double Base = 500000, Factor = 8;
    private const int Original = 4096;

    [Theory]
    [InlineData(32, 1, true, false)]
    [InlineData(32, 1, false, true)]
    [InlineData(64, 2, true, true)]
    [InlineData(16.5, 0.25, false, true)]
    public void Yarn_beyond_llama_cpp_s_own_is_told_in_divisors(double fast, double slow, bool truncate, bool asDivisors)
    {
        JsonObject yarn = new() { ["rope_type"] = "yarn", ["beta_fast"] = fast, ["beta_slow"] = slow, ["truncate"] = truncate };
        var metadata = new GgufMetadata();
        float[]? factors = Read(yarn).Write(metadata, "llama", graphReadsFactors: true);

        Assert.Equal(asDivisors ? "none" : "yarn", metadata.Find("llama.rope.scaling.type"));
        Assert.Equal((float)Base, metadata.Find("llama.rope.freq_base"));
        if (!asDivisors)
        {
            Assert.Null(factors);
            Assert.Equal((float)Factor, metadata.Find("llama.rope.scaling.factor"));
            Assert.Equal((uint)Original, metadata.Find("llama.rope.scaling.original_context_length"));
            return;
        }
        Assert.Equal((float)(0.1 * Math.Log(Factor) + 1), (float)metadata.Find("llama.rope.scaling.attn_factor")!, 1e-6f);
        RequireClose(Yarn(fast, slow, truncate), factors);
        Assert.Throws<UnsupportedModelException>(() => Read(yarn).Write([], "qwen2", graphReadsFactors: false));
    }

    [Theory]
    [InlineData(1, 4)]
    [InlineData(2, 7.5)]
    public void Llama_3_s_scaling_is_told_in_divisors(double low, double high)
    {
        JsonObject llama3 = new() { ["rope_type"] = "llama3", ["low_freq_factor"] = low, ["high_freq_factor"] = high };
        RequireClose(Llama3(low, high), Read(llama3).Write([], "llama", graphReadsFactors: true));
    }

    [Fact]
    public void Yarn_over_heads_so_small_that_the_corners_meet_is_still_defined()
    {
        JsonObject yarn = new() { ["rope_type"] = "yarn", ["beta_fast"] = 1000, ["beta_slow"] = 900 };
        Assert.All(Read(yarn, dimensions: 2).Write([], "llama", graphReadsFactors: true)!, factor => Assert.True(float.IsFinite(factor) && factor > 0));
    }

    private static RotaryScaling Read(JsonObject parameters, int dimensions = Dimensions)
    {
        parameters = parameters.DeepClone().AsObject();
        parameters["factor"] = Factor;
        parameters["original_max_position_embeddings"] = Original;
        parameters["rope_theta"] = Base;
        JsonObject config = new() { ["max_position_embeddings"] = (int)(Original * Factor), ["rope_parameters"] = parameters };
        using JsonDocument document = JsonDocument.Parse(config.ToJsonString());
        return RotaryScaling.Read(new ConfigReader("config.json", "", document.RootElement.Clone()), dimensions);
    }

    private static IEnumerable<double> Plain() => Enumerable.Range(0, Dimensions / 2).Select(i => 1 / Math.Pow(Base, 2.0 * i / Dimensions));

    // _compute_yarn_parameters: find_correction_range, linear_ramp_factor, inv_freq.
    private static IEnumerable<double> Yarn(double fast, double slow, bool truncate)
    {
        double low = Dimensions * Math.Log(Original / (fast * 2 * Math.PI)) / (2 * Math.Log(Base)), high = Dimensions * Math.Log(Original / (slow * 2 * Math.PI)) / (2 * Math.Log(Base));
        if (truncate) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, Dimensions - 1));
        return Plain().Select((extrapolated, i) =>
        {
            double extrapolation = 1 - Math.Clamp((i - low) / (high - low), 0, 1);
            return extrapolated / Factor * (1 - extrapolation) + extrapolated * extrapolation;
        });
    }

    // _compute_llama3_parameters: by wavelength.
    private static IEnumerable<double> Llama3(double low, double high) => Plain().Select(frequency =>
    {
        double wavelength = 2 * Math.PI / frequency;
        if (wavelength < Original / high) return frequency;
        if (wavelength > Original / low) return frequency / Factor;
        double smooth = (Original / wavelength - low) / (high - low);
        return (1 - smooth) * frequency / Factor + smooth * frequency;
    });

    private static void RequireClose(IEnumerable<double> frequencies, float[]? divisors)
    {
        double[] expected = [.. frequencies.Zip(Plain(), (scaled, plain) => plain / scaled)];
        Assert.NotNull(divisors);
        Assert.Equal(expected.Length, divisors.Length);
        for (int i = 0; i < expected.Length; i++) Assert.InRange(divisors[i] / expected[i], 1 - 1e-5, 1 + 1e-5);
        Assert.True(expected.Distinct().Count() > 3, "the case tests no ramp");
    }
}
