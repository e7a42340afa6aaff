using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Quantization;

/// <summary>How integers with a scale and a zero point for each group of inputs are packed.</summary>
/// <param name="Bits">Bits of an integer.</param>
/// <param name="Shifts">Where the integers of a word lie in it.</param>
/// <param name="PackedAlongInputs">Whether a word holds several inputs of one output, and not several outputs of one input; zero points are always packed along the outputs.</param>
/// <param name="ZeroOffset">What is added to a stored zero point.</param>
/// <param name="GroupSize">Inputs that share a scale.</param>
/// <param name="AnyOrder">Whether the inputs of a group may lie anywhere, and not one after the other.</param>
internal sealed record GroupedLayout(int Bits, int[] Shifts, bool PackedAlongInputs, int ZeroOffset, long GroupSize, bool AnyOrder)
{
    /// <summary>Whether groups are runs of whole blocks of ggml's.</summary>
    public bool WholeBlocks => !AnyOrder && Gptq.WholeBlocks(GroupSize);
}

/// <summary>Rows of integers from matrices that hold them as columns.</summary>
internal sealed class GroupedIntegersSource(StoredTensor codes, StoredTensor zeros, StoredTensor scales, StoredTensor? order, GroupedLayout layout, long rows, long columns)
    : IntegerSource([codes, zeros, scales, .. order is null ? ReadOnlySpan<StoredTensor>.Empty : [order]], rows, columns, layout.Bits, layout.WholeBlocks)
{
    // Every read goes through all inputs.
    public override long RowsTogether => 128;

    public override IntegerRows ReadIntegers(CheckpointFiles files, long firstRow, int rows)
    {
        int columns = (int)Columns, groups = (int)scales.Shape[0];
        int[] groupOf = ReadGroups(files, groups);
        byte[] code = new byte[(long)columns * rows], zero = new byte[(long)groups * rows];
        float[] scale = new float[(long)groups * rows];
        for (int group = 0; group < groups; group++) WeightParts.ReadFloats(files, scales, group * Rows + firstRow, scale.AsSpan(group * rows, rows));
        PackedWords.AlongOutputs(files, zeros, layout.Bits, layout.Shifts, firstRow, rows, zero);
        if (layout.PackedAlongInputs) PackedWords.AlongRows(files, codes, layout.Bits, layout.Shifts, firstRow, rows, code);
        else PackedWords.AlongOutputs(files, codes, layout.Bits, layout.Shifts, firstRow, rows, code);
        short[] zeroPoints = [.. Transpose(zero, groups, rows).Select(point => (short)(point + layout.ZeroOffset))];
        return new(Transpose(code, columns, rows), Transpose(scale, groups, rows), zeroPoints, groupOf);
    }

    private int[] ReadGroups(CheckpointFiles files, int groups)
    {
        int[] inOrder = GroupsInOrder(layout.GroupSize);
        if (order is null) return inOrder;
        int[] groupOf = new int[Columns];
        files.Read(order.File, order.Offset, MemoryMarshal.AsBytes(groupOf.AsSpan()));
        int wrong = groupOf.AsSpan().IndexOfAnyExceptInRange(0, groups - 1);
        if (wrong >= 0) throw WeightParts.Error(order, $"puts input {wrong} into group {groupOf[wrong]}, and there are {groups}");
        int moved = layout.AnyOrder ? -1 : Enumerable.Range(0, groupOf.Length).FirstOrDefault(input => groupOf[input] != inOrder[input], -1);
        return moved < 0 ? groupOf : throw WeightParts.Error(order, $"puts input {moved} into group {groupOf[moved]}, and without desc_act it belongs to {inOrder[moved]}");
    }

    private static T[] Transpose<T>(T[] values, int rows, int columns)
    {
        var result = new T[values.Length];
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column];
        return result;
    }
}
