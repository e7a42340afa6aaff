using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tests;

/// <summary>Llama's definition written out in double precision over the bundled model's weights, with nothing of an engine in it.</summary>
internal sealed class PlainLlama
{
    private const int Heads = 8, KvHeads = 4, HeadLength = 32, Layers = 6;
    private const double Epsilon = 1e-5, Base = 10000;

    private readonly Dictionary<string, double[][]> _tensors;

    public PlainLlama(Checkpoint checkpoint)
    {
        using var files = new CheckpointFiles();
        _tensors = checkpoint.StoredTensors.ToDictionary(tensor => tensor.Name, tensor =>
        {
            byte[] bytes = new byte[tensor.Bytes];
            files.Read(tensor.File, tensor.Offset, bytes);
            double[] values = [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray().Select(half => (double)BitConverter.UInt32BitsToSingle((uint)half << 16))];
            return values.Chunk((int)tensor.Shape[^1]).ToArray();
        });
    }

    public float[] Logits(int[] ids)
    {
        double[][] stream = [.. ids.Select(id => _tensors["model.embed_tokens.weight"][id])];
        for (int layer = 0; layer < Layers; layer++)
        {
            string name = $"model.layers.{layer}.";
            double[][] Project(string projection, double[][] rows) => [.. rows.Select(row => Multiply(_tensors[$"{name}{projection}.weight"], row))];
            double[][] normed = [.. stream.Select(row => Norm(row, name + "input_layernorm"))];
            double[][] queries = [.. Project("self_attn.q_proj", normed).Select(Rotate)], keys = [.. Project("self_attn.k_proj", normed).Select(Rotate)];
            stream = Add(stream, Project("self_attn.o_proj", Attend(queries, keys, Project("self_attn.v_proj", normed))));
            normed = [.. stream.Select(row => Norm(row, name + "post_attention_layernorm"))];
            double[][] gate = Project("mlp.gate_proj", normed), up = Project("mlp.up_proj", normed);
            stream = Add(stream, Project("mlp.down_proj", [.. gate.Zip(up, (g, u) => g.Zip(u, (a, b) => a / (1 + Math.Exp(-a)) * b).ToArray())]));
        }
        return [.. stream.SelectMany(row => Multiply(_tensors["model.embed_tokens.weight"], Norm(row, "model.norm"))).Select(value => (float)value)];
    }

    private static double[][] Attend(double[][] queries, double[][] keys, double[][] values)
    {
        double[][] attended = [.. queries.Select(row => new double[row.Length])];
        for (int position = 0; position < queries.Length; position++)
        {
            for (int head = 0; head < Heads; head++)
            {
                int from = head * HeadLength, kv = head / (Heads / KvHeads) * HeadLength;
                double[] scores = [.. Enumerable.Range(0, position + 1).Select(other => Math.Exp(Enumerable.Range(0, HeadLength).Sum(i => queries[position][from + i] * keys[other][kv + i]) / Math.Sqrt(HeadLength)))];
                double sum = scores.Sum();
                for (int i = 0; i < HeadLength; i++) attended[position][from + i] = scores.Select((score, other) => score / sum * values[other][kv + i]).Sum();
            }
        }
        return attended;
    }

    private static double[] Rotate(double[] row, int position)
    {
        double[] rotated = new double[row.Length];
        for (int at = 0; at < row.Length; at++)
        {
            int head = at / HeadLength * HeadLength, i = at % (HeadLength / 2);
            double angle = position * Math.Pow(Base, -2.0 * i / HeadLength), first = row[head + i], second = row[head + i + HeadLength / 2];
            rotated[at] = at - head < HeadLength / 2 ? first * Math.Cos(angle) - second * Math.Sin(angle) : second * Math.Cos(angle) + first * Math.Sin(angle);
        }
        return rotated;
    }

    private double[] Norm(double[] row, string name)
    {
        double scale = 1 / Math.Sqrt(row.Sum(value => value * value) / row.Length + Epsilon);
        return [.. row.Zip(_tensors[name + ".weight"][0], (value, weight) => value * scale * weight)];
    }

    private static double[] Multiply(double[][] matrix, double[] row) => [.. matrix.Select(weights => System.Numerics.Tensors.TensorPrimitives.Dot<double>(weights, row))];

    private static double[][] Add(double[][] rows, double[][] others) => [.. rows.Zip(others, (row, other) => row.Zip(other, (a, b) => a + b).ToArray())];
}
