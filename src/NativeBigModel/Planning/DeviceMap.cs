using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using NativeBigModel.Architectures;
using NativeBigModel.Planning.DeviceMaps;

namespace NativeBigModel.Planning;

/// <summary>
/// Where modules should live: accelerate's <c>device_map</c>, by one of its strategies or by name. <c>cpu</c> and <c>disk</c> mean what
/// <see cref="OffloadMode"/> makes of them.
/// </summary>
public sealed partial record DeviceMap
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

    /// <summary>
    /// accelerate's <c>fallback_allocation</c>: whether a device that is still empty and that the next module does not fit may take a later one. By a strategy; a map by name has nothing
    /// to search.
    /// </summary>
    public bool FallbackAllocation { get; init; }

    /// <summary>Modules by name, each with a GPU's number, <c>cpu</c> or <c>disk</c>; none in a strategy, which <see cref="Infer"/> asks for them.</summary>
    public ImmutableSortedDictionary<string, string> Entries { get; private init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>
    /// accelerate's <c>infer_auto_device_map</c>, with <c>get_balanced_memory</c> before it where the strategy is a balanced one: where this strategy has each module of a model, by
    /// Hugging Face's names. Modules that lie on one device together have one entry, and no layer is divided. It counts weights alone, as accelerate does, and may be one that a plan cannot
    /// follow; what a plan makes of it <see cref="PlanOptions.DeviceMap"/> says. A map by name is accelerate's <c>check_device_map</c>, and comes back with Hugging Face's names.
    /// </summary>
    /// <param name="model">The model, with its tensors in the types that they will have: accelerate's <c>dtype</c> and <c>special_dtypes</c>.</param>
    /// <param name="machine">Its free memory is the limits where none are given; of the only GPU a tenth less, by a balanced strategy.</param>
    /// <param name="maxMemory">What each device may hold; a disk has no limit.</param>
    /// <exception cref="InvalidOptionException">A name is no module of the model, a tensor has no device, a device is not among those that may be used, or GPU 0 is to be spared and is not there.</exception>
    public DeviceMap Infer(ModelShape model, Machine machine, MemoryLimits? maxMemory = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(machine);
        return new() { Entries = DeviceMapPlanner.Answer(this, model, maxMemory ?? MemoryLimits.Of(machine), maxMemory is not null).Entries };
    }

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

    /// <summary>The map by name as <see cref="FromJson"/> reads it, layers in their order; an empty object for a strategy.</summary>
    public string ToJson() => new JsonObject(Entries.OrderBy(entry => Number().Replace(entry.Key, number => number.Value.PadLeft(9, '0')), StringComparer.Ordinal)
        .Select(entry => KeyValuePair.Create(entry.Key, DeviceName.GpuIndex(entry.Value) is { } gpu ? gpu : (JsonNode?)entry.Value))).ToJsonString(HuggingFaceConfig.Indented);

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Number();

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
