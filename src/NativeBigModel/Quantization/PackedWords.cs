using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Quantization;

/// <summary>Integers of a few bits in 32-bit words, from matrices that lie with the outputs side by side: reads only the words of the outputs that are asked for.</summary>
internal static class PackedWords
{
    /// <summary>The shifts of codes that lie one after the other.</summary>
    public static int[] InOrder(int bits) => [.. Enumerable.Range(0, 32 / bits).Select(i => i * bits)];

    /// <summary>Words that hold several outputs of one row: codes[row * outputs + output].</summary>
    public static void AlongOutputs(CheckpointFiles files, StoredTensor words, int bits, int[] shifts, long firstOutput, int outputs, Span<byte> codes)
    {
        long first = firstOutput / shifts.Length, wordsInRow = words.Shape[1];
        uint[] part = new uint[(firstOutput + outputs - 1) / shifts.Length - first + 1];
        uint mask = (1u << bits) - 1;
        for (int row = 0, rows = (int)words.Shape[0]; row < rows; row++)
        {
            files.Read(words.File, words.Offset + (row * wordsInRow + first) * sizeof(uint), MemoryMarshal.AsBytes(part.AsSpan()));
            for (int i = 0; i < outputs; i++)
            {
                (long word, long within) = Math.DivRem(firstOutput + i, shifts.Length);
                codes[row * outputs + i] = (byte)(part[word - first] >> shifts[within] & mask);
            }
        }
    }

    /// <summary>Words that hold several rows of one output: codes[row * outputs + output].</summary>
    public static void AlongRows(CheckpointFiles files, StoredTensor words, int bits, int[] shifts, long firstOutput, int outputs, Span<byte> codes)
    {
        uint[] part = new uint[outputs];
        uint mask = (1u << bits) - 1;
        for (int row = 0, rows = (int)words.Shape[0]; row < rows; row++)
        {
            files.Read(words.File, words.Offset + (row * words.Shape[1] + firstOutput) * sizeof(uint), MemoryMarshal.AsBytes(part.AsSpan()));
            for (int k = 0; k < shifts.Length; k++)
            {
                Span<byte> to = codes.Slice((row * shifts.Length + k) * outputs, outputs);
                for (int i = 0; i < outputs; i++) to[i] = (byte)(part[i] >> shifts[k] & mask);
            }
        }
    }
}
