using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace NativeBigModel.Server;

/// <summary>What a request says about choosing tokens, in the library's terms.</summary>
internal static class Sampling
{
    private const int MaxStops = 16;

    /// <summary>The options of one of a request's answers.</summary>
    /// <exception cref="ApiException">A member has a value that it may not have.</exception>
    public static GenerateOptions Read(GenerationRequest request, GenerateOptions defaults, int? maxTokens) => defaults with
    {
        MaxNewTokens = maxTokens ?? defaults.MaxNewTokens,
        Temperature = request.Temperature ?? defaults.Temperature,
        TopP = request.TopP ?? defaults.TopP,
        TopK = request.TopK ?? defaults.TopK,
        MinP = request.MinP ?? defaults.MinP,
        RepetitionPenalty = request.RepetitionPenalty ?? defaults.RepetitionPenalty,
        PresencePenalty = request.PresencePenalty ?? defaults.PresencePenalty,
        FrequencyPenalty = request.FrequencyPenalty ?? defaults.FrequencyPenalty,
        Seed = request.Seed is { } seed ? unchecked((uint)seed) : defaults.Seed,
        LogitBias = request.LogitBias is null ? defaults.LogitBias : Bias(request.LogitBias),
        StopStrings = [.. defaults.StopStrings, .. Stops(request.Stop)],
    };

    /// <summary>How many answers are asked for.</summary>
    /// <exception cref="ApiException">None, or more than there may be.</exception>
    public static int Choices(GenerationRequest request, int most) => request.N switch
    {
        null => 1,
        { } n when n >= 1 && n <= most => n,
        { } n => throw ApiException.BadValue("n", $"{n}; it may be from 1 to {most}"),
    };

    /// <summary>The options of another answer to the same request: with a seed, another one that depends on it.</summary>
    public static GenerateOptions ForChoice(GenerateOptions options, int index) => options.Seed is { } seed ? options with { Seed = unchecked(seed + (uint)index) } : options;

    private static ImmutableDictionary<int, float> Bias(Dictionary<string, float> given)
    {
        var bias = ImmutableDictionary.CreateBuilder<int, float>();
        foreach ((string key, float value) in given)
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int token)) throw ApiException.BadValue("logit_bias", "its keys are token ids, as texts of digits");
            if (value is not (>= -100 and <= 100)) throw ApiException.BadValue("logit_bias", "its values are from -100 to 100");
            bias[token] = value;
        }
        return bias.ToImmutable();
    }

    private static string[] Stops(JsonElement stop)
    {
        string[] stops = stop.ValueKind switch
        {
            JsonValueKind.Undefined or JsonValueKind.Null => [],
            JsonValueKind.String => [JsonText.Of(stop, "stop")],
            JsonValueKind.Array when stop.GetArrayLength() <= MaxStops => [.. stop.EnumerateArray().Select(static item => JsonText.Of(item, "stop"))],
            JsonValueKind.Array => throw ApiException.BadValue("stop", $"{stop.GetArrayLength()} texts; there may be {MaxStops}"),
            _ => throw ApiException.BadValue("stop", "a text or an array of texts was expected"),
        };
        return stops.Contains("") ? throw ApiException.BadValue("stop", "an empty text") : stops;
    }
}
