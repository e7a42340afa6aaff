using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>The regular expressions by which llama.cpp is told where tensors go.</summary>
public class TensorPatternTests
{
    private static readonly ModelShape s_model = Models.Llama(126, 64, 128, 4, 2, 256, TensorType.F16);

    [Fact]
    public void It_matches_the_tensors_of_its_items_and_no_others() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(100), Prop.ForAll(
        (from split in Gen.Elements(true, false)
         from chosen in Gen.ArrayOf(Gen.Elements(true, false), 2 * 126 + 1)
         select (split, chosen)).ToArbitrary(), one =>
    {
        string[] names = [.. Enumerable.Range(0, 126).SelectMany(i => one.split ? (string[])[$"blk.{i}", FeedForwardPart.Of(i)] : [$"blk.{i}"]), Item.Output];
        HashSet<string> items = [.. names.Where((_, i) => one.chosen[i])];
        string? pattern = TensorPattern.Of([.. items.Select(name => new LayerPlacement(name, "cpu", "cpu", false, 0, 0))], one.split, "output");
        foreach (TensorSpec tensor in s_model.Tensors) Assert.Equal(items.Contains(ItemName.Of(tensor, one.split)), pattern is not null && Regex.IsMatch(tensor.Name, $"^({pattern})"));
        // It is compiled for every tensor: a layer is its number.
        Assert.True((pattern?.Length ?? 0) < 200 + 4 * names.Length, pattern);
    }));
}
