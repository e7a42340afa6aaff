using System.Buffers.Binary;
using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;

namespace NativeBigModel.Quantization;

/// <summary>
/// compressed-tensors' pack-quantized: integers packed along the inputs, row by row, with a scale for each row or for each group of its inputs. They are stored without sign,
/// half the range above; or a zero point says how far, packed along the outputs.
/// </summary>
internal sealed class PackedIntegers(int bits, long groupSize)
    : QuantizedFormat($"compressed-tensors int{bits}, {Gptq.GroupText(groupSize)}", KeptTypes.ForIntegers(bits, Gptq.WholeBlocks(groupSize)),
        (".weight_packed", ".weight"), (".weight_scale", ".weight"), (".weight_shape", ".weight"), (".weight_zero_point", ".weight"), (".weight_g_idx", ".weight"))
{
    public override StoredWeight? Find(WeightParts parts, string weight)
    {
        if (parts.Find($"{weight}_packed") is null) return null;
        StoredTensor codes = parts.Require($"{weight}_packed", weight, "I32"), shape = WeightParts.Shaped(parts.Require($"{weight}_shape", weight, "I64", "I32"), 2);
        byte[] extents = WeightParts.ReadSmall(shape);
        (long rows, long columns) = shape.DataType == "I64"
            ? (BinaryPrimitives.ReadInt64LittleEndian(extents), BinaryPrimitives.ReadInt64LittleEndian(extents.AsSpan(8)))
            : (BinaryPrimitives.ReadInt32LittleEndian(extents), BinaryPrimitives.ReadInt32LittleEndian(extents.AsSpan(4)));
        if (rows is < 1 or > int.MaxValue || columns is < 1 or > int.MaxValue) throw WeightParts.Error(shape, $"says {rows} by {columns}");
        int perWord = 32 / bits;
        WeightParts.Shaped(codes, rows, (columns + perWord - 1) / perWord);
        long groups = Gptq.Groups(columns, groupSize);
        StoredTensor scales = WeightParts.Shaped(parts.RequireFloats($"{weight}_scale", weight), rows, groups);
        StoredTensor? zeros = parts.Find($"{weight}_zero_point") is null ? null : WeightParts.Shaped(parts.Require($"{weight}_zero_point", weight, "I32"), (rows + perWord - 1) / perWord, groups);
        if (parts.Find($"{weight}_g_idx") is { } order) throw new UnsupportedModelException($"{Path.GetFileName(order.File)}: {order.Name}: groups in the order of activations are not read yet for this format");
        return new([rows, columns], new PackedIntegersSource(codes, scales, zeros, bits, groupSize == 0 ? columns : groupSize, rows, columns));
    }
}

/// <summary>Rows of integers that lie row by row.</summary>
internal sealed class PackedIntegersSource(StoredTensor codes, StoredTensor scales, StoredTensor? zeros, int bits, long groupSize, long rows, long columns)
    : IntegerSource([codes, scales, .. zeros is null ? ReadOnlySpan<StoredTensor>.Empty : [zeros]], rows, columns, bits, Gptq.WholeBlocks(groupSize))
{
    public override IntegerRows ReadIntegers(CheckpointFiles files, long firstRow, int rows)
    {
        int perWord = 32 / Bits, columns = (int)Columns, words = (int)codes.Shape[1], groups = (int)scales.Shape[1];
        uint mask = (1u << Bits) - 1;
        uint[] packed = ReadWords(files, codes, firstRow, rows);
        byte[] code = new byte[rows * columns];
        for (int i = 0; i < code.Length; i++) code[i] = (byte)(packed[i / columns * words + i % columns / perWord] >> i % columns % perWord * Bits & mask);
        float[] scale = new float[rows * groups];
        WeightParts.ReadFloats(files, scales, firstRow * groups, scale);
        short[] zero = new short[rows * groups];
        if (zeros is null) Array.Fill(zero, (short)(1 << (Bits - 1)));
        else
        {
            long first = firstRow / perWord;
            uint[] packedZeros = ReadWords(files, zeros, first, (firstRow + rows - 1) / perWord - first + 1);
            for (int i = 0; i < zero.Length; i++)
            {
                (long word, long within) = Math.DivRem(firstRow + i / groups, perWord);
                zero[i] = (short)(packedZeros[(word - first) * groups + i % groups] >> (int)within * Bits & mask);
            }
        }
        return new(code, scale, zero, GroupsInOrder(groupSize));
    }

    private static uint[] ReadWords(CheckpointFiles files, StoredTensor words, long firstRow, long rows)
    {
        uint[] read = new uint[rows * words.Shape[1]];
        files.Read(words.File, words.Offset + firstRow * words.Shape[1] * sizeof(uint), MemoryMarshal.AsBytes(read.AsSpan()));
        return read;
    }
}
