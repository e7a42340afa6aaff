using System.Diagnostics;
using NativeBigModel.Conversion;
using NativeBigModel.Native;

namespace NativeBigModel.Bench;

/// <summary>How long the rows of a checkpoint take from floats in memory to blocks in memory, on all cores: each pair of types is timed on a sample and taken for all tensors of that pair.</summary>
internal static class QuantizerSpeed
{
    private const int SampleElements = 1 << 20;
    private static readonly TimeSpan s_least = TimeSpan.FromSeconds(1);

    /// <summary>Seconds for the whole checkpoint.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="type">What it is made.</param>
    /// <param name="stock">Whether ggml's functions do it.</param>
    public static double Seconds(string folder, WeightType type, bool stock)
    {
        EngineLibrary.Load();
        return Checkpoint.Open(folder).Define(type).Tensors.Where(tensor => tensor.Source.Type != tensor.Spec.Type)
            .GroupBy(tensor => (From: tensor.Source.Type, To: tensor.Spec.Type))
            .Sum(pair => pair.Sum(tensor => tensor.Spec.Elements) / ElementsPerSecond(pair.Key.From, pair.Key.To, stock));
    }

    private static double ElementsPerSecond(TensorType from, TensorType to, bool stock)
    {
        byte[] sample = Models.RandomWeights.Block(from, 0.02f)[..(int)from.RowBytes(SampleElements)];
        long elements = 0;
        bool timed = false;
        long started = 0;
        void Work()
        {
            byte[] blocks = new byte[to.RowBytes(SampleElements)];
            float[] values = new float[SampleElements];
            while (!timed || Stopwatch.GetElapsedTime(started) < s_least)
            {
                if (stock && to.IsQuantized())
                {
                    Floats.Widen(sample, from, values);
                    GgmlQuantizer.Quantize("sample", to, values, blocks, SampleElements);
                }
                else RowEncoder.Encode("sample", sample, from, blocks, to, SampleElements);
                if (timed) Interlocked.Add(ref elements, SampleElements);
                else return;
            }
        }
        // Once until the code is as fast as it gets.
        long warm = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(warm) < s_least) Work();
        timed = true;
        started = Stopwatch.GetTimestamp();
        Thread[] threads = [.. Enumerable.Range(0, Environment.ProcessorCount).Select(_ => new Thread(Work))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        return elements / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }
}
