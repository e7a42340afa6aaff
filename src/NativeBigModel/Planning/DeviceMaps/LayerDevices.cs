using System.Collections.Immutable;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>A device map as far as llama.cpp can follow it: one device for the input, each layer and the output.</summary>
/// <param name="Devices">A <see cref="DeviceName"/> for each item.</param>
/// <param name="FinalNorm">Where the map has the final norm, which llama.cpp computes with the output.</param>
/// <param name="Notes">Where that is not what the map says, one sentence each.</param>
internal sealed record LayerDevices(ImmutableArray<string> Devices, string FinalNorm, ImmutableArray<string> Notes)
{
    /// <exception cref="InvalidOptionException">Parts of one layer are on different devices.</exception>
    public static LayerDevices Of(ModuleDevices map, ModelModules modules, IReadOnlyList<Item> items)
    {
        ILookup<string, string> byLayer = modules.Tree.Parameters.Select(one => one.Path).ToLookup(LayerOf);
        string?[] layers = [.. items.Skip(1).SkipLast(1).Select(item => Single(map, [.. byLayer[ModelModules.LayerPath(item.Name)!]]))];
        // A layer without tensors goes with the one before it, or the first with the first that has some.
        string before = layers.FirstOrDefault(device => device is not null) ?? DeviceName.Host;
        List<string> devices = [DeviceName.Host, .. layers.Select(device => before = device ?? before)];
        string norm = map.DeviceOf(ModelModules.FinalNorm) ?? devices[^1];
        devices.Add(map.DeviceOf(ModelModules.Head) ?? norm);
        return new([.. devices], norm, map.DeviceOf(ModelModules.Embedding) is { } embedding && embedding != DeviceName.Host
            ? [$"the token embedding lies in host memory, where llama.cpp reads a row of it for each token; the map has it on {DeviceName.Label(embedding)}"]
            : []);
    }

    private static string? Single(ModuleDevices map, string[] tensors) => tensors.FirstOrDefault(path => map.DeviceOf(path) != map.DeviceOf(tensors[0])) is { } other
        ? throw new InvalidOptionException($"device map: {tensors[0]} is on {DeviceName.Label(map.DeviceOf(tensors[0])!)} and {other} on {DeviceName.Label(map.DeviceOf(other)!)}; llama.cpp computes a layer on one device")
        : tensors.Length > 0 ? map.DeviceOf(tensors[0]) : null;

    private static string LayerOf(string path) => string.Join('.', path.Split('.').Take(3));
}
