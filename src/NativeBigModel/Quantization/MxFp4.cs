using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;
using NativeBigModel.Tensors;

namespace NativeBigModel.Quantization;

/// <summary>
/// MXFP4 as gpt-oss stores its experts (OCP microscaling formats 1.0): blocks of 32 4-bit floats, two to a byte with the lower half first, that share a power of two.
/// A row runs along the inputs, the other way round than in transformers' own parameter of the same name.
/// </summary>
internal sealed class MxFp4() : QuantizedFormat("MXFP4", TensorType.MXFP4, ("_blocks", ""), ("_scales", ""))
{
    public const int BlockLength = 32, BlockBytes = 16;

    public override StoredWeight? Find(WeightParts parts, string weight)
    {
        if (parts.Find($"{weight}_blocks") is null) return null;
        StoredTensor blocks = parts.Require($"{weight}_blocks", weight, "U8");
        if (blocks.Shape.Length < 3 || blocks.Shape[^1] != BlockBytes || blocks.Shape.Contains(0))
            throw WeightParts.Error(blocks, $"has shape [{string.Join(", ", blocks.Shape)}], and [..., outputs, blocks, {BlockBytes}] is needed");
        StoredTensor scales = WeightParts.Shaped(parts.Require($"{weight}_scales", weight, "U8"), blocks.Shape.AsSpan()[..^1]);
        return new([.. blocks.Shape[..^2], blocks.Shape[^2] * BlockLength], new MxFp4Source(blocks, scales)) { Transposed = true };
    }
}

/// <summary>Rows of MXFP4 as F32.</summary>
internal sealed class MxFp4Source(StoredTensor blocks, StoredTensor scales)
    : QuantizedSource([blocks, scales], blocks.Shape[..^2].Aggregate(1L, (product, extent) => product * extent), blocks.Shape[^2] * MxFp4.BlockLength, TensorType.MXFP4)
{
    private static readonly float[] s_numbers = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    public override TensorSource As(TensorType type) => type == TensorType.MXFP4 ? new MxFp4Blocks(this) : this;

    protected override void Dequantize(CheckpointFiles files, long firstRow, int rows, Span<float> values)
    {
        (byte[] codes, byte[] exponents) = ReadParts(files, firstRow, rows);
        for (int i = 0; i < codes.Length; i++)
        {
            int exponent = exponents[i / MxFp4.BlockBytes] - 127;
            values[2 * i] = MathF.ScaleB(s_numbers[codes[i] & 15], exponent);
            values[2 * i + 1] = MathF.ScaleB(s_numbers[codes[i] >> 4], exponent);
        }
    }

    /// <summary>Codes and exponents of some rows, as they stand.</summary>
    public (byte[] Codes, byte[] Exponents) ReadParts(CheckpointFiles files, long firstRow, int rows)
    {
        long rowBlocks = blocks.Shape[^2];
        byte[] codes = new byte[rows * rowBlocks * MxFp4.BlockBytes], exponents = new byte[rows * rowBlocks];
        files.Read(blocks.File, blocks.Offset + firstRow * rowBlocks * MxFp4.BlockBytes, codes);
        files.Read(scales.File, scales.Offset + firstRow * rowBlocks, exponents);
        int wrong = exponents.AsSpan().IndexOf(byte.MaxValue);
        return wrong < 0 ? (codes, exponents) : throw WeightParts.Error(scales, $"element {firstRow * rowBlocks + wrong} is 255, which is not a number; at most 254 is");
    }
}

/// <summary>The same rows as ggml's blocks (ggml-common.h, block_mxfp4): the exponent, then 16 bytes that hold element i below and element i + 16 above. No value changes.</summary>
internal sealed class MxFp4Blocks(MxFp4Source inner) : TensorSource(TensorType.MXFP4, inner.Rows, inner.Columns)
{
    public override IEnumerable<string> Files => inner.Files;

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        (byte[] codes, byte[] exponents) = inner.ReadParts(files, firstRow, checked((int)(destination.Length / RowBytes)));
        for (int block = 0; block < exponents.Length; block++)
        {
            ReadOnlySpan<byte> from = codes.AsSpan(block * MxFp4.BlockBytes, MxFp4.BlockBytes);
            Span<byte> to = destination.Slice(block * (MxFp4.BlockBytes + 1), MxFp4.BlockBytes + 1);
            to[0] = exponents[block];
            for (int i = 0; i < MxFp4.BlockBytes; i++) to[1 + i] = (byte)(Code(from, i) | Code(from, i + MxFp4.BlockBytes) << 4);
        }
    }

    private static int Code(ReadOnlySpan<byte> codes, int element) => codes[element / 2] >> element % 2 * 4 & 15;
}
