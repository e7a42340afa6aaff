namespace NativeBigModel.Checkpoints.PyTorch;

/// <summary>The objects that a file of tensors is made of, from the names in its pickle (torch/_utils.py, torch/serialization.py).</summary>
internal static class TorchObjects
{
    private const int MaxDimensions = 16;

    /// <summary>What a call makes.</summary>
    public static object Call(PickleGlobal function, object?[] arguments, Func<string, CheckpointException> error) => function.Name switch
    {
        "collections.OrderedDict" when arguments.Length == 0 => new PickleDictionary(),
        "torch._utils._rebuild_tensor_v2" => Tensor(arguments, error),
        "torch._utils._rebuild_parameter" => arguments is [TorchTensor tensor, bool, _] ? tensor : throw error("makes a parameter from something that is not a tensor"),
        _ => throw error($"calls {function.Name} with {arguments.Length} arguments, which is refused: only tensors are read"),
    };

    /// <summary>The storage that a persistent id names: ("storage", type, key, place, elements), and a view in the old format, which must be none.</summary>
    public static TorchStorage Storage(object? id, Func<string, CheckpointException> error)
    {
        if (id is not PickleTuple { Items: ["storage", PickleGlobal type, string key, string, long elements, .. object?[] view] } || view.Length > 1)
            throw error("has a persistent id that does not name a storage");
        if (view is [not null]) throw error($"storage {key} is a view of another, which is not read");
        if (elements < 0) throw error($"storage {key} has {elements} elements");
        return new TorchStorage(key, ElementType(type.Name) ?? throw error($"names {type.Name}, which is not a storage of a known element type"), elements);
    }

    private static TorchTensor Tensor(object?[] arguments, Func<string, CheckpointException> error)
    {
        if (arguments is not [TorchStorage storage, long offset, PickleTuple shape, PickleTuple strides, bool, _, ..] || arguments.Length > 7)
            throw error($"makes a tensor from {arguments.Length} arguments of the wrong kinds");
        if (shape.Items.Length > MaxDimensions || shape.Items.Length != strides.Items.Length)
            throw error($"makes a tensor of {shape.Items.Length} dimensions with {strides.Items.Length} strides");
        return new TorchTensor(storage, offset, Numbers(shape, error), Numbers(strides, error));
    }

    private static long[] Numbers(PickleTuple tuple, Func<string, CheckpointException> error) =>
        [.. tuple.Items.Select(item => item is long and >= 0 ? (long)item : throw error("makes a tensor whose extents or strides are not whole numbers from 0"))];

    private static string? ElementType(string name) => name switch
    {
        "torch.FloatStorage" => "F32",
        "torch.HalfStorage" => "F16",
        "torch.BFloat16Storage" => "BF16",
        "torch.DoubleStorage" => "F64",
        "torch.LongStorage" => "I64",
        "torch.IntStorage" => "I32",
        "torch.ShortStorage" => "I16",
        "torch.CharStorage" => "I8",
        "torch.ByteStorage" => "U8",
        "torch.BoolStorage" => "BOOL",
        _ => null,
    };
}
