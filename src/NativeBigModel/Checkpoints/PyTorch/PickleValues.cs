namespace NativeBigModel.Checkpoints.PyTorch;

/// <summary>A name that a pickle mentions, <c>module.name</c>. It is never looked up: what it may stand for is a list of this library's.</summary>
internal sealed class PickleGlobal(string name)
{
    public string Name { get; } = name;
}

/// <summary>A tuple; pickles may nest it into itself, so nothing walks it without knowing its form.</summary>
internal sealed class PickleTuple(object?[] items)
{
    public object?[] Items { get; } = items;
}

/// <summary>A list.</summary>
internal sealed class PickleList
{
    public List<object?> Items { get; } = [];
}

/// <summary>A dictionary, ordered or not: the entries in the order they came in, a repeated key repeated.</summary>
internal sealed class PickleDictionary
{
    public List<(object? Key, object? Value)> Entries { get; } = [];
}

/// <summary>A run of elements that tensors are views of.</summary>
/// <param name="Key">Its name in the file.</param>
/// <param name="Type">Element type, as safetensors spells it.</param>
/// <param name="Elements">Its length.</param>
internal sealed record TorchStorage(string Key, string Type, long Elements);

/// <summary>A view of a storage: where it begins, its extents and its strides, all in elements and not yet checked.</summary>
internal sealed record TorchTensor(TorchStorage Storage, long Offset, long[] Shape, long[] Strides);
