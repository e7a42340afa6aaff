using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using NativeBigModel.Planning.DeviceMaps;

namespace NativeBigModel.Planning;

/// <summary>
/// Where modules should live: accelerate's <c>device_map</c>, by one of its strategies or by name. <c>cpu</c> and <c>disk</c> mean what
/// <see cref="OffloadMode"/> makes of them.
/// </summary>
public sealed record DeviceMap
{
    private static readonly JsonDocumentOptions s_json = new() { AllowDuplicateProperties = false, CommentHandling = JsonCommentHandling.Skip };

    /// <summary>The same as <see cref="Balanced"/>, as in accelerate.</summary>
    public static DeviceMap Auto => Balanced;

    /// <summary>Spreads the model evenly over the GPUs; each but the last holds about its share.</summary>
    public static DeviceMap Balanced { get; } = new() { Strategy = DeviceMapStrategy.Balanced };

    /// <summary>The same over all GPUs but the first, which holds what the others cannot.</summary>
    public static DeviceMap BalancedLowZero { get; } = new() { Strategy = DeviceMapStrategy.BalancedLowZero };

    /// <summary>Fills the devices one after the other.</summary>
    public static DeviceMap Sequential { get; } = new() { Strategy = DeviceMapStrategy.Sequential };

    /// <summary>The names of the strategies.</summary>
    public static IReadOnlyDictionary<string, DeviceMap> Strategies { get; } = new Dictionary<string, DeviceMap>
    {
        ["auto"] = Auto, ["balanced"] = Balanced, ["balanced_low_0"] = BalancedLowZero, ["sequential"] = Sequential,
    };

    internal DeviceMapStrategy? Strategy { get; private init; }

    internal ImmutableSortedDictionary<string, string> Entries { get; private init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Places modules by name.</summary>
    /// <param name="entries">Modules of Hugging Face (<c>model.layers.0</c>, <c>lm_head</c>) or of GGUF (<c>blk.0</c>, <c>output</c>), or the empty name for
    /// all, each with a GPU's number (also as <c>cuda:0</c>), <c>cpu</c> or <c>disk</c>. The nearest entry around a module decides.</param>
    /// <exception cref="InvalidOptionException">A device is none of these, or a module is named twice.</exception>
    public static DeviceMap Of(IEnumerable<KeyValuePair<string, string>> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        var devices = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach ((string module, string device) in entries)
        {
            if (!devices.TryAdd(module, ReadDevice(module, device))) throw new InvalidOptionException($"device map: '{module}' is named twice");
        }
        return new() { Entries = devices.ToImmutable() };
    }

    /// <summary>Reads one JSON object of modules and devices, such as <c>{"model.embed_tokens": 0, "model.layers.0": "cpu"}</c>.</summary>
    /// <exception cref="InvalidOptionException">It is not that, or <see cref="Of"/> refuses it.</exception>
    public static DeviceMap FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, s_json);
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw new InvalidOptionException($"device map: {document.RootElement.ValueKind} where an object of modules and devices belongs");
            return Of([.. document.RootElement.EnumerateObject().Select(entry => KeyValuePair.Create(entry.Name, entry.Value.ToString()))]);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new InvalidOptionException($"device map: not valid JSON: {error.Message}");
        }
    }

    private static string ReadDevice(string module, string device)
    {
        const string cuda = "cuda:";
        string number = device.StartsWith(cuda, StringComparison.Ordinal) ? device[cuda.Length..] : device;
        if (int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int gpu)) return DeviceName.Gpu(gpu);
        return device is DeviceName.Host or DeviceName.Disk
            ? device
            : throw new InvalidOptionException($"device map: '{module}' is on '{device}'; there are GPU numbers (0, 1, ...), {DeviceName.Host} and {DeviceName.Disk}");
    }
}
