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
        List<string> notes = [];
        ILookup<string, string> byLayer = modules.Tree.Parameters.Select(one => one.Path).ToLookup(LayerOf);
        string Layer(Item item)
        {
            string[] tensors = [.. byLayer[ModelModules.LayerPath(item.Name)!]];
            string? other = tensors.FirstOrDefault(path => map.DeviceOf(path) != map.DeviceOf(tensors[0]));
            return other is null
                ? map.DeviceOf(tensors[0])!
                : throw new InvalidOptionException($"device map: {tensors[0]} is on {Label(map.DeviceOf(tensors[0])!)} and {other} on {Label(map.DeviceOf(other)!)}; llama.cpp computes a layer on one device");
        }
        if (map.DeviceOf(ModelModules.Embedding) is { } embedding && embedding != DeviceName.Host)
            notes.Add($"the token embedding lies in host memory, where llama.cpp reads a row of it for each token; the map has it on {Label(embedding)}");
        string head = map.DeviceOf(ModelModules.Head)!;
        return new([.. items.Select(item => item.Name switch { Item.Input => DeviceName.Host, Item.Output => head, _ => Layer(item) })], map.DeviceOf(ModelModules.FinalNorm) ?? head, [.. notes]);
    }

    public static string Label(string device) => DeviceName.GpuIndex(device) is { } gpu ? $"GPU {gpu}" : device;

    private static string LayerOf(string path) => string.Join('.', path.Split('.').Take(3));
}
