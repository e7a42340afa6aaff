using System.Collections.Immutable;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>Which <see cref="DeviceName"/> each module is on. A module covers all beneath it that has no entry of its own.</summary>
internal sealed record ModuleDevices(ImmutableSortedDictionary<string, string> Entries)
{
    public static ModuleDevices Of(IEnumerable<KeyValuePair<string, string>> entries) => new(entries.ToImmutableSortedDictionary(StringComparer.Ordinal));

    /// <summary>The device of a module or tensor, from its own entry or that of the nearest module around it; null where there is none.</summary>
    public string? DeviceOf(string path)
    {
        while (true)
        {
            if (Entries.TryGetValue(path, out string? device)) return device;
            if (path.Length == 0) return null;
            path = path.LastIndexOf('.') is >= 0 and int dot ? path[..dot] : "";
        }
    }

    /// <summary>The same with one entry for modules that lie on one device entirely (accelerate's clean_device_map).</summary>
    public ModuleDevices Clean() => Clean("");

    /// <summary>The entries that name neither a module nor a tensor.</summary>
    /// <exception cref="InvalidOptionException">A tensor has no device.</exception>
    public IReadOnlyList<string> Check(ModuleTree tree)
    {
        if (tree.Tensors.Select(one => one.Path).Where(path => DeviceOf(path) is null).ToList() is { Count: > 0 } uncovered)
            throw new InvalidOptionException($"device map: {uncovered.Count} of {tree.Tensors.Count()} tensors have no device, the first of them {uncovered[0]}");
        HashSet<string> known = [.. tree.Modules.Select(one => one.Path), .. tree.Tensors.Select(one => one.Path)];
        return [.. Entries.Keys.Where(path => !known.Contains(path))];
    }

    private ModuleDevices Clean(string module)
    {
        string prefix = module.Length == 0 ? "" : module + '.';
        List<string> beneath = [.. Entries.Keys.Where(path => path.StartsWith(prefix, StringComparison.Ordinal))];
        ModuleDevices cleaned = this;
        // A single entry stays as it is.
        if (beneath.Count > 1 && beneath.Select(path => Entries[path]).Distinct().Count() == 1)
            return new(Entries.RemoveRange(beneath).SetItem(module, Entries[beneath[0]]));
        foreach (string child in beneath.Where(path => path.Length > module.Length).Select(path => prefix + path[prefix.Length..].Split('.')[0]).Distinct())
            cleaned = cleaned.Clean(child);
        return cleaned;
    }
}
