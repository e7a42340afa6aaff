using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Conversion;

/// <summary>Sources made of others, read in any chunks, against what they are by definition.</summary>
public class DerivedSourcesTests
{
    private static readonly Arbitrary<(int Matrices, int Rows, int Columns, int Seed)> s_cases = (
        from matrices in Gen.Choose(1, 4)
        from rows in Gen.Choose(1, 9)
        from columns in Gen.Choose(1, 9)
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select (matrices, rows, columns, seed)).ToArbitrary();

    [Fact]
    public void Each_matrix_of_a_stack_is_transposed() => Check.QuickThrowOnFailure(Prop.ForAll(s_cases, one =>
    {
        (int matrices, int rows, int columns, int seed) = one;
        var source = new TransposedSource(new Numbers(matrices * rows, columns), rows);
        Require(source, matrices * columns, rows, seed, (row, column) => (row / columns * rows + column) * columns + row % columns);
    }));

    [Fact]
    public void A_stack_is_its_parts_one_after_the_other() => Check.QuickThrowOnFailure(Prop.ForAll(s_cases, one =>
    {
        (int matrices, int rows, int columns, int seed) = one;
        var source = new StackedSource([.. Enumerable.Range(0, matrices).Select(part => new Numbers(rows, columns, part * 1000))]);
        Require(source, matrices * rows, columns, seed, (row, column) => row / rows * 1000 + row % rows * columns + column);
    }));

    [Fact]
    public void A_column_has_the_elements_in_their_order() => Check.QuickThrowOnFailure(Prop.ForAll(s_cases, one =>
    {
        (int matrices, int rows, int columns, int seed) = one;
        Require(new Numbers(rows, columns * matrices).AsColumn(), rows * columns * matrices, 1, seed, (row, _) => row);
    }));

    [Fact]
    public void Picked_rows_far_apart_are_the_rows_asked_for() => Check.QuickThrowOnFailure(Prop.ForAll(s_cases, one =>
    {
        (int matrices, int rows, int columns, int seed) = one;
        // Wide enough that a span is not read whole.
        int wide = columns * 4096, step = 1 + matrices * 3;
        Require(new PickedRows(new Numbers(rows * step, wide), rows, row => row * step), rows, wide, seed, (row, column) => (float)((long)row * step * wide + column));
    }));

    [Fact]
    public void What_picks_or_stacks_whole_rows_lays_out_the_same_blocks()
    {
        TensorSource quantized = new Quantized(4, 64);
        Assert.Equal(TensorType.Q4_1, new PickedRows(quantized, 2, row => row + 2).As(TensorType.Q4_1).Type);
        TensorSource stack = new StackedSource([quantized, quantized]).As(TensorType.Q4_1);
        Assert.Equal((TensorType.Q4_1, 8), (stack.Type, stack.Rows));
        foreach (TensorSource other in (TensorSource[])[new TransposedSource(quantized, 4), quantized.AsColumn(), new ComputedSource(quantized, ComputedSource.Nothing), new StackedSource([quantized, new Numbers(4, 64)])])
            Assert.Same(other, other.As(TensorType.Q4_1));
    }

    [Fact]
    public void The_stored_type_has_whole_blocks_and_is_the_widest_of_a_stack()
    {
        TensorSource quantized = new Quantized(4, 64);
        Assert.Equal(TensorType.Q4_1, new TransposedSource(new Quantized(32, 64), 32).StoredType);
        Assert.Equal(TensorType.F16, new TransposedSource(quantized, 4).StoredType);
        Assert.Equal(TensorType.Q4_1, new StackedSource([quantized, quantized]).StoredType);
        Assert.Equal(TensorType.F32, new StackedSource([quantized, new Numbers(4, 64)]).StoredType);
    }

    private static void Require(TensorSource source, int rows, int columns, int seed, Func<int, int, float> expected)
    {
        Assert.Equal((rows, columns), (source.Rows, source.Columns));
        var random = new Random(seed);
        using var files = new CheckpointFiles();
        for (int row = 0; row < rows;)
        {
            int count = random.Next(1, rows - row + 1);
            var chunk = new float[count * columns];
            source.Read(files, row, MemoryMarshal.AsBytes(chunk.AsSpan()));
            for (int i = 0; i < chunk.Length; i++) Assert.Equal(expected(row + i / columns, i % columns), chunk[i]);
            row += count;
        }
    }

    /// <summary>Counts its elements.</summary>
    private sealed class Numbers(int rows, int columns, int first = 0) : TensorSource(TensorType.F32, rows, columns)
    {
        public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
        {
            Span<float> values = MemoryMarshal.Cast<byte, float>(destination);
            for (int i = 0; i < values.Length; i++) values[i] = first + firstRow * Columns + i;
        }
    }

    /// <summary>Numbers that ggml's blocks may hold.</summary>
    private sealed class Quantized(int rows, int columns) : TensorSource(TensorType.F32, rows, columns)
    {
        public override TensorType StoredType => TensorType.Q4_1;

        public override TensorSource As(TensorType type) => type == StoredType ? new AbsentBlocks(Rows, Columns) : this;

        public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) => throw new InvalidOperationException("only described");
    }

    private sealed class AbsentBlocks(long rows, long columns) : TensorSource(TensorType.Q4_1, rows, columns)
    {
        public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) => throw new InvalidOperationException("only described");
    }
}
