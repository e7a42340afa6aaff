namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>
/// Bytes of every tensor, and of every module with all that is beneath it (accelerate's compute_module_sizes). A shared tensor counts once, under the first
/// of its names; what has no entry counts 0.
/// </summary>
internal sealed class ModuleSizes
{
    private readonly OrderedDictionary<string, long> _bytes = [];

    /// <param name="tree">The model.</param>
    /// <param name="type">A type that every floating tensor is loaded in, if it is smaller than its own.</param>
    /// <param name="special">Types of single tensors by path, which come before <paramref name="type"/>.</param>
    public ModuleSizes(ModuleTree tree, TorchType? type = null, IReadOnlyDictionary<string, TorchType>? special = null)
    {
        HashSet<string> counted = [];
        foreach ((string path, ModuleTensor tensor) in tree.Tensors)
        {
            string[] names = [.. tree.Tied.FirstOrDefault(group => group.Contains(path), [path])];
            if (names.Any(counted.Contains)) continue;
            counted.Add(path);
            Add(path, LoadedBytes(tensor, type, special?.GetValueOrDefault(path)));
        }
    }

    /// <summary>The paths with a size, each module before what is in it, in the order of the walk.</summary>
    public IEnumerable<KeyValuePair<string, long>> Entries => _bytes;

    public long this[string path] => _bytes.GetValueOrDefault(path);

    /// <summary>Bytes of a module's buffers and of all beneath it, as they would be loaded.</summary>
    public static long BufferBytes(Module module, TorchType? type) =>
        module.Walk("").Sum(one => one.Module.Buffers.Sum(buffer => LoadedBytes(buffer, type, null)));

    private static long LoadedBytes(ModuleTensor tensor, TorchType? type, TorchType? special)
    {
        TorchType? loaded = special ?? type;
        if (loaded is null || tensor.Type is not { } own || (special is null && own.KeepsItsType)) return tensor.Bytes;
        return tensor.Bytes * (special?.Bits ?? Math.Min(loaded.Bits, own.Bits)) / own.Bits;
    }

    private void Add(string path, long bytes)
    {
        _bytes[""] = this[""] + bytes;
        for (int dot = path.IndexOf('.', StringComparison.Ordinal); dot >= 0; dot = path.IndexOf('.', dot + 1))
            _bytes[path[..dot]] = this[path[..dot]] + bytes;
        _bytes[path] = this[path] + bytes;
    }
}
