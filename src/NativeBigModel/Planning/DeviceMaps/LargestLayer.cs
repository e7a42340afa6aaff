namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>
/// The size of the largest module that is not divided and has no device yet: what a device that others' layers are brought to must keep free.
/// It stands until every module of that size has its device.
/// </summary>
internal sealed class LargestLayer
{
    private readonly ModuleSizes _sizes;
    private readonly IReadOnlySet<string> _whole;
    private List<string> _paths = [];

    public LargestLayer(ModuleSizes sizes, IReadOnlySet<string> whole, IEnumerable<Pending> queue)
    {
        (_sizes, _whole) = (sizes, whole);
        Measure(queue);
    }

    public long Bytes { get; private set; }

    /// <summary>Takes note that <paramref name="item"/> has left the queue.</summary>
    public void Leave(Pending item, IEnumerable<Pending> queue)
    {
        _paths.RemoveAll(path => ModuleTree.IsIn(path, item.Path));
        if (_paths.Count == 0) MeasureModules(queue);
    }

    /// <summary>Measures again, after a module was opened: bare tensors no longer count.</summary>
    public void MeasureModules(IEnumerable<Pending> queue) => Measure(queue.Where(item => item.Module is not null));

    private void Measure(IEnumerable<Pending> queue)
    {
        (Bytes, _paths) = (0, []);
        foreach (Pending item in queue.SelectMany(Undivided))
        {
            long bytes = _sizes[item.Path];
            if (bytes > Bytes) (Bytes, _paths) = (bytes, [item.Path]);
            else if (bytes == Bytes) _paths.Add(item.Path);
        }
    }

    // A module's own parameters do not count while it has children.
    private IEnumerable<Pending> Undivided(Pending item) =>
        item.Opens(_whole) ? item.Module!.Children.SelectMany(child => Undivided(new(ModuleTree.Join(item.Path, child.Name), child))) : [item];
}
