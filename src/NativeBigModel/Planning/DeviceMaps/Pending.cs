namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>A module that has no device yet, or a bare tensor of one that was opened.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Module">The module, or null for a tensor.</param>
internal sealed record Pending(string Path, Module? Module)
{
    /// <summary>What the search begins with: the root's parameters, children and buffers.</summary>
    public static List<Pending> Of(ModuleTree tree) =>
        [.. new Pending("", tree.Root).Open(), .. tree.Root.Buffers.Select(buffer => new Pending(buffer.Name, null))];

    /// <summary>Whether it may be divided between devices.</summary>
    public bool Opens(IReadOnlySet<string> whole) => Module is { Children.IsEmpty: false } module && !whole.Contains(module.Class);

    /// <summary>Its own parameters and its children. Its own buffers are left out, as accelerate leaves them out.</summary>
    public IEnumerable<Pending> Open() =>
        [.. Module!.Parameters.Select(tensor => new Pending(ModuleTree.Join(Path, tensor.Name), null)), .. Module.Children.Select(child => new Pending(ModuleTree.Join(Path, child.Name), child))];
}
