using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace NativeBigModel.Planning;

/// <summary>A model's items as far as its tensors decide them, without keys and values. A search plans one model many times: they are made once for each shape.</summary>
internal sealed class ItemBytes
{
    private static readonly ConditionalWeakTable<ModelShape, ItemBytes> s_known = [];

    private ItemBytes(ModelShape model)
    {
        ILookup<int, TensorSpec> byLayer = model.Tensors.ToLookup(tensor => tensor.Layer);
        List<TensorSpec> output = [.. byLayer[-1].Where(tensor => tensor.IsOutput)];
        List<TensorSpec> input = [.. byLayer[-1].Except(output)];
        // With tied weights the output projection is the embedding: shared where both are on one device, copied where they are not.
        bool tied = model.Kind != ModelKind.Encoder && !output.Any(tensor => tensor.Name == "output.weight");
        long shared = tied ? byLayer[-1].FirstOrDefault(tensor => tensor.Name == "token_embd.weight")?.Bytes ?? 0 : 0;
        IEnumerable<int> layers = Enumerable.Range(0, model.Layers.Length);
        Whole = [new Item(Item.Input, input.Sum(tensor => tensor.Bytes), 0, 0, 0, 0, 0, 0, 0), .. layers.Select(i => Of($"blk.{i}", byLayer[i])), Of(Item.Output, output) with { SharedBytes = shared }];
        Parts = [.. layers.Select(i =>
        {
            List<TensorSpec> part = [.. byLayer[i].Where(FeedForwardPart.Holds)];
            return (Of($"blk.{i}", byLayer[i].Except(part)), part.Count > 0 ? Of(FeedForwardPart.Of(i), part) : null);
        })];
    }

    /// <summary>Input, layers, output.</summary>
    public ImmutableArray<Item> Whole { get; }

    /// <summary>For each layer what it has besides its feed-forward part, and that part, where it has one.</summary>
    public ImmutableArray<(Item Layer, Item? FeedForward)> Parts { get; }

    public static ItemBytes Of(ModelShape model) => s_known.GetValue(model, static model => new(model));

    private static Item Of(string name, IEnumerable<TensorSpec> tensors) => new(
        name, tensors.Sum(tensor => tensor.Bytes), 0, RingBytes(tensors, Stack, RingSize.Of), RingBytes(tensors, Stack, RingSize.ReadInPlace),
        RingBytes(tensors, FeedForwardPart.MatrixOf, RingSize.Of), RingBytes(tensors, FeedForwardPart.MatrixOf, RingSize.ReadInPlace), tensors.Select(tensor => tensor.Bytes).DefaultIfEmpty().Max(), 0);

    // Encoder and decoder layers of one number are two groups.
    private static string Stack(TensorSpec tensor) => tensor.Layer < 0 ? "" : tensor.Stack;

    private static long RingBytes(IEnumerable<TensorSpec> tensors, Func<TensorSpec, string> group, Func<IEnumerable<TensorSpec>, long> of) => tensors.GroupBy(group).Select(of).DefaultIfEmpty().Max();
}
