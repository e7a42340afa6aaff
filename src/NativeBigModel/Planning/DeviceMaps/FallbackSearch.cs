namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>Looks for a later module that fits where the next one does not (accelerate's fallback_allocate).</summary>
internal static class FallbackSearch
{
    /// <summary>Takes the first module of at most <paramref name="bytes"/> out of the queue, opening what it is in; null where none fits.</summary>
    public static Pending? Take(List<Pending> queue, long bytes, ModuleTree tree, ModuleSizes sizes, IReadOnlySet<string> whole)
    {
        if (bytes < 0 || Find([.. queue], bytes, tree, sizes, whole) is not { } found) return null;
        while (queue.FindIndex(item => ModuleTree.IsIn(found.Path, item.Path)) is var at && queue[at].Path != found.Path) Replace(queue, at);
        queue.RemoveAll(item => item.Path == found.Path);
        return found;
    }

    private static Pending? Find(List<Pending> queue, long bytes, ModuleTree tree, ModuleSizes sizes, IReadOnlySet<string> whole)
    {
        while (queue.Count > 0)
        {
            Pending item = queue[0];
            queue.RemoveAt(0);
            if (TiedModules.Find(item, queue, tree, sizes) is { } tied && tied.Bytes <= bytes) return item;
            if (item.Opens(whole)) queue.InsertRange(0, item.Open());
        }
        return null;
    }

    private static void Replace(List<Pending> queue, int at)
    {
        IEnumerable<Pending> parts = queue[at].Open();
        queue.RemoveAt(at);
        queue.InsertRange(at, parts);
    }
}
