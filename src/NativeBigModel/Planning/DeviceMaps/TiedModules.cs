namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>The modules that must go where another one goes, because they share parameters with it.</summary>
/// <param name="Owners">The items of the queue that hold the shared parameters, one for each parameter.</param>
/// <param name="Bytes">Bytes of the module and its owners, what is shared counted once.</param>
internal sealed record TiedModules(IReadOnlyList<Pending> Owners, long Bytes)
{
    /// <summary>Finds them, or null where a shared parameter is in nothing that <paramref name="queue"/> holds.</summary>
    public static TiedModules? Find(Pending item, IReadOnlyList<Pending> queue, ModuleTree tree, ModuleSizes sizes) => Find(Outside(item, tree), sizes[item.Path], queue, sizes);

    /// <param name="shared">Paths of the parameters outside the module that it shares.</param>
    /// <param name="bytes">Bytes of the module alone.</param>
    /// <param name="queue">What has no device yet.</param>
    /// <param name="sizes">Sizes of everything.</param>
    public static TiedModules? Find(IReadOnlyList<string> shared, long bytes, IReadOnlyList<Pending> queue, ModuleSizes sizes)
    {
        List<Pending> owners = [];
        foreach (string path in shared)
        {
            if (queue.FirstOrDefault(candidate => ModuleTree.IsIn(path, candidate.Path)) is not { } owner) return null;
            owners.Add(owner);
            // An owner of two shared parameters counts twice, as in accelerate.
            bytes += sizes[owner.Path] - sizes[path];
        }
        return new(owners, bytes);
    }

    /// <summary>The parameters outside a module that it shares. accelerate looks for the module's path anywhere in theirs, and fails where "1" is found in "11.weight".</summary>
    public static List<string> Outside(Pending item, ModuleTree tree) =>
        [.. tree.Tied.Where(group => group.Any(path => ModuleTree.IsIn(path, item.Path))).SelectMany(group => group).Where(path => !ModuleTree.IsIn(path, item.Path))];
}
