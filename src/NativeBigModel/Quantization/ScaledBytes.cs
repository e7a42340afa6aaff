using System.Numerics.Tensors;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;

namespace NativeBigModel.Quantization;

/// <summary>
/// Weights of one byte, an 8-bit float or integer, times a scale: one for the tensor, one for each row, or one for each block of rows and columns. DeepSeek and transformers
/// call it weight_scale_inv, AutoFP8, FBGEMM and compressed-tensors weight_scale; all of them multiply by it.
/// </summary>
internal sealed class ScaledBytes : QuantizedFormat
{
    private readonly (long Rows, long Columns)? _block;

    public ScaledBytes(string name, (long Rows, long Columns)? block)
        : base(name, KeptTypes.EightBits, (".weight_scale_inv", ".weight"), (".weight_scale", ".weight"),
            // Scales of activations and of the KV cache; weights do not need them.
            (".input_scale", ".weight"), (".activation_scale", ".weight"), (".input_scale_ub", ".weight"), (".output_scale", ".weight"), ("_proj.k_scale", "_proj.weight"), ("_proj.v_scale", "_proj.weight"),
            (".self_attn.k_scale", ".self_attn.k_proj.weight"), (".self_attn.v_scale", ".self_attn.v_proj.weight")) => _block = block;

    public static ScaledBytes ReadFp8(ConfigReader config)
    {
        if (!config.Has("weight_block_size")) return new("FP8", null);
        long[] block = [.. config.Integers("weight_block_size", 1, int.MaxValue)];
        return block.Length == 2 ? new($"FP8 in blocks of {block[0]} by {block[1]}", (block[0], block[1])) : throw config.Error("weight_block_size", $"has {block.Length} numbers and needs 2");
    }

    public override StoredWeight? Find(WeightParts parts, string weight)
    {
        if (parts.Find(weight) is not { } bytes || ByteValues.Table(bytes.DataType) is not { } table) return null;
        (long rows, long columns) = WeightParts.Matrix(bytes);
        StoredTensor scales = parts.Find(weight + "_scale_inv") is null ? parts.RequireFloats(weight + "_scale", weight) : parts.RequireFloats(weight + "_scale_inv", weight);
        return new(bytes.Shape, new ScaledBytesSource(bytes, table, scales, ScaleBlock(scales, rows, columns), 1));
    }

    private (long Rows, long Columns) ScaleBlock(StoredTensor scales, long rows, long columns)
    {
        if (scales.Shape is [] or [1] or [1, 1] && (_block is not { } whole || (whole.Rows >= rows && whole.Columns >= columns))) return (rows, columns);
        if (_block is { } block)
        {
            WeightParts.Shaped(scales, (rows + block.Rows - 1) / block.Rows, (columns + block.Columns - 1) / block.Columns);
            return block;
        }
        WeightParts.Counted(scales, rows);
        return (1, columns);
    }
}

/// <summary>Rows of bytes that a table turns into numbers, times the scale of their block.</summary>
/// <param name="bytes">The matrix.</param>
/// <param name="table">The number that each byte stands for.</param>
/// <param name="scales">The scales, a matrix row by row.</param>
/// <param name="block">Rows and columns that share a scale.</param>
/// <param name="divisor">What each scale is divided by first.</param>
internal sealed class ScaledBytesSource(StoredTensor bytes, float[] table, StoredTensor scales, (long Rows, long Columns) block, float divisor)
    : QuantizedSource([bytes, scales], bytes.Shape[0], bytes.Shape[1], KeptTypes.EightBits)
{
    protected override void Dequantize(CheckpointFiles files, long firstRow, int rows, Span<float> values)
    {
        int columns = (int)Columns, scaleColumns = (int)((Columns + block.Columns - 1) / block.Columns);
        long firstScaleRow = firstRow / block.Rows, lastScaleRow = (firstRow + rows - 1) / block.Rows;
        float[] scale = new float[(lastScaleRow - firstScaleRow + 1) * scaleColumns];
        WeightParts.ReadFloats(files, scales, firstScaleRow * scaleColumns, scale);
        TensorPrimitives.Divide(scale, divisor, scale);
        byte[] codes = new byte[(long)rows * columns];
        files.Read(bytes.File, bytes.Offset + firstRow * columns, codes);
        for (int i = 0; i < codes.Length; i++) values[i] = table[codes[i]];
        for (int row = 0; row < rows; row++)
        {
            int scaleRow = (int)((firstRow + row) / block.Rows - firstScaleRow) * scaleColumns;
            for (int at = 0, column = 0; column < columns; at++)
            {
                int width = (int)Math.Min(block.Columns, columns - column);
                Span<float> part = values.Slice(row * columns + column, width);
                TensorPrimitives.Multiply(part, scale[scaleRow + at], part);
                column += width;
            }
        }
    }
}
