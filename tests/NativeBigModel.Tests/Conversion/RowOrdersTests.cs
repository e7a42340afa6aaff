using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Architectures;
using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Conversion;

public class RowOrdersTests
{
    private static readonly Arbitrary<(int Heads, int HeadRows, int Columns, int Seed)> s_cases = (
        from heads in Gen.Choose(1, 6)
        from half in Gen.Choose(1, 9)
        from columns in Gen.Choose(1, 5)
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select (heads, 2 * half, columns, seed)).ToArbitrary();

    [Fact]
    public void Any_rows_in_any_chunks_are_the_permutation() => Check.QuickThrowOnFailure(Prop.ForAll(s_cases, one =>
    {
        (int heads, int headRows, int columns, int seed) = one;
        float[,] stored = new float[heads * headRows, columns];
        for (int i = 0; i < stored.Length; i++) stored[i / columns, i % columns] = i;
        var pairs = new PickedRows(new Matrix(stored), heads * headRows, RowOrders.HalvesToPairs(headRows, headRows));
        var random = new Random(seed);
        using var files = new CheckpointFiles();
        for (int row = 0; row < heads * headRows;)
        {
            int count = random.Next(1, heads * headRows - row + 1);
            var chunk = new float[count * columns];
            pairs.Read(files, row, MemoryMarshal.AsBytes(chunk.AsSpan()));
            for (int i = 0; i < count; i++)
            {
                // llama.cpp's conversion: reshape(heads, 2, d/2, columns).swapaxes(1, 2).
                int head = (row + i) / headRows, within = (row + i) % headRows;
                int from = head * headRows + within % 2 * (headRows / 2) + within / 2;
                for (int c = 0; c < columns; c++) Assert.Equal(stored[from, c], chunk[i * columns + c]);
            }
            row += count;
        }
    }));

    private sealed class Matrix(float[,] values) : TensorSource(TensorType.F32, values.GetLength(0), values.GetLength(1))
    {
        public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
            MemoryMarshal.AsBytes(values.Cast<float>().ToArray().AsSpan()).Slice((int)(firstRow * RowBytes), destination.Length).CopyTo(destination);
    }
}
