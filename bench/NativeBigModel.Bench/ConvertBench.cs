using System.Diagnostics;
using NativeBigModel.Bench.Contests;
using NativeBigModel.Bench.Results;
using NativeBigModel.Checkpoints;
using NativeBigModel.Conversion;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench;

/// <summary>
/// A sharded Hugging Face folder to quantised GGUF: in one pass as this library does it, against the usual two steps, convert to F16 and then llama_model_quantize. Rounds alternate
/// in one run and every step begins with a checkpoint that the system has no copy of; compare ratios, not seconds. Beside them stands what neither can beat: the quantiser alone, from memory
/// to memory on all cores, and the disk alone, which reads the checkpoint while as many bytes are written as the result has.
/// </summary>
internal static class ConvertBench
{
    public const string Usage = "convert [--size GIGABYTES] [--from f16|bf16] [--types q4_k_m,q8_0] [--rounds N] [--csv FILE] [--work DIR]";

    private const string OnePass = "nbm", TwoSteps = "llama.cpp in two steps", Quantizer = "quantiser alone", StockQuantizer = "ggml's quantiser alone", Disk = "disk alone";

    public static int Run(string[] arguments)
    {
        Arguments options = new Arguments(arguments).Only("--size", "--from", "--types", "--rounds", "--csv", "--work");
        double size = double.Parse(options.Text("--size", "4"));
        string from = options.Text("--from", "f16");
        WeightType[] types = [.. options.List("--types", "q4_k_m,q8_0").Select(WeightTypes.Parse)];
        List<string> head = [.. MachineHead.Describe("convert", arguments)];
        foreach (string line in head) Console.WriteLine(line);
        string? csv = options.Has("--csv") ? options.Text("--csv", "") : null;
        DirectoryInfo work = options.Has("--work") ? Directory.CreateDirectory(options.Text("--work", "")).CreateSubdirectory($"nbm-convert-{Environment.ProcessId}") : Directory.CreateTempSubdirectory("nbm-convert");
        try
        {
            string folder = SyntheticCheckpoint.Make(Path.Combine(work.FullName, "model"), size, half: from == "f16");
            long weights = Checkpoint.Open(folder).Describe().WeightBytes;
            List<Measurement> rows = [];
            for (int round = 1; round <= options.Number("--rounds", 3); round++)
            {
                foreach (WeightType type in types)
                {
                    Measurement Row(string contender, (double Seconds, long? PeakBytes) taken) => new()
                    {
                        Model = $"{size:0.#} GB of {from.ToUpperInvariant()} to {type}", Type = $"{type}", WeightBytes = weights, BudgetBytes = 0, Contender = contender, Round = round,
                        ConvertSeconds = taken.Seconds, HostPeakBytes = taken.PeakBytes,
                    };
                    foreach (Measurement row in Measure(folder, work.FullName, type).Select(one => Row(one.Contender, one.Taken)))
                    {
                        rows.Add(row);
                        Console.WriteLine($"  round {round}, {type,-8} {row.Contender,-24} {row.ConvertSeconds,8:0.00} s{(row.HostPeakBytes is { } peak ? $"; RAM {ByteSize.Format(peak)}" : "")}");
                    }
                    if (csv is not null) new ResultFile(head, rows).Write(csv);
                }
            }
            Print(rows);
        }
        finally { work.Delete(recursive: true); }
        return 0;
    }

    private static IEnumerable<(string Contender, (double, long?) Taken)> Measure(string folder, string work, WeightType type)
    {
        string once = Path.Combine(work, "once.gguf"), half = Path.Combine(work, "f16.gguf"), twice = Path.Combine(work, "twice.gguf");
        try
        {
            MemoryCage.Forget(folder);
            (double seconds, long peak) = Step.Start("convert", folder, once, $"{type}");
            yield return (OnePass, (seconds, peak));
            MemoryCage.Forget(folder);
            (double first, long firstPeak) = Step.Start("convert", folder, half, "f16");
            (double second, long secondPeak) = Step.Start("quantize", half, twice, $"{type}");
            RequireSameWeights(once, twice);
            yield return (TwoSteps, (first + second, Math.Max(firstPeak, secondPeak)));
            long bytes = new FileInfo(once).Length;
            File.Delete(once);
            File.Delete(half);
            File.Delete(twice);
            MemoryCage.Forget(folder);
            yield return (Disk, (MoveBytes(folder, once, bytes), null));
            yield return (Quantizer, (QuantizerSpeed.Seconds(folder, type, stock: false), null));
            yield return (StockQuantizer, (QuantizerSpeed.Seconds(folder, type, stock: true), null));
        }
        finally
        {
            File.Delete(once);
            File.Delete(half);
            File.Delete(twice);
        }
    }

    // A contest between different results would be none.
    private static void RequireSameWeights(string one, string other)
    {
        Checkpoint ours = Checkpoint.Open(one), theirs = Checkpoint.Open(other);
        var types = theirs.StoredTensors.ToDictionary(tensor => tensor.Name, tensor => (tensor.DataType, tensor.Bytes));
        if (ours.StoredTensors.FirstOrDefault(tensor => types.GetValueOrDefault(tensor.Name) != (tensor.DataType, tensor.Bytes)) is { } odd)
            throw new InvalidDataException($"{odd.Name}: {odd.DataType} of {odd.Bytes} bytes, and llama.cpp made {types.GetValueOrDefault(odd.Name)}");
    }

    // Around the page cache, as fast as four readers and a writer get through the disk.
    private static double MoveBytes(string folder, string output, long bytes)
    {
        const int piece = 4 << 20;
        byte[] noise = new byte[piece];
        new Random(1).NextBytes(noise);
        long started = Stopwatch.GetTimestamp();
        using var files = new CheckpointFiles(once: true);
        using var written = new BlockWriter(output, bytes);
        var writer = new Thread(() =>
        {
            for (long at = 0; at < bytes; at += piece) written.Write(at, noise.AsSpan(0, (int)Math.Min(piece, bytes - at)));
            written.Complete();
        });
        writer.Start();
        foreach (FileInfo file in new DirectoryInfo(folder).EnumerateFiles("*.safetensors"))
            Parallel.For(0, (file.Length + piece - 1) / piece, new ParallelOptions { MaxDegreeOfParallelism = 4 }, () => new byte[piece], (i, _, read) =>
            {
                files.Read(file.FullName, i * piece, read.AsSpan(0, (int)Math.Min(piece, file.Length - i * piece)));
                return read;
            }, _ => { });
        writer.Join();
        return Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private static void Print(List<Measurement> rows)
    {
        Console.WriteLine();
        Console.WriteLine("Medians. The ratio is of rounds, least to most; the fraction is of the slower of disk and quantiser.");
        Console.WriteLine("| | nbm | RAM | llama.cpp in two steps | RAM | two steps / nbm | quantiser alone | ggml's | disk alone | fraction reached |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach (IGrouping<string, Measurement> model in rows.GroupBy(row => row.Model))
        {
            Measurement[] Of(string contender) => [.. model.Where(row => row.Contender == contender)];
            double Median(string contender) => Repeated.Of(Of(contender).Select(row => row.ConvertSeconds))!.Median;
            string Peak(string contender) => ByteSize.Format(Of(contender).Max(row => row.HostPeakBytes ?? 0));
            Repeated ratio = Summary.Ratio(Of(TwoSteps), Of(OnePass), Figure.Convert)!;
            Repeated fraction = Repeated.Of(Of(OnePass).Select(row =>
                Math.Max(Of(Disk).Single(disk => disk.Round == row.Round).ConvertSeconds!.Value, Of(Quantizer).Single(alone => alone.Round == row.Round).ConvertSeconds!.Value) / row.ConvertSeconds))!;
            Console.WriteLine($"| {model.Key} | {Median(OnePass):0.0} s | {Peak(OnePass)} | {Median(TwoSteps):0.0} s | {Peak(TwoSteps)} | {ratio.Median:0.00} ({ratio.Least:0.00} to {ratio.Most:0.00}) | {Median(Quantizer):0.0} s | {Median(StockQuantizer):0.0} s | {Median(Disk):0.0} s | {fraction.Median:0.00} ({fraction.Least:0.00} to {fraction.Most:0.00}) |");
        }
    }
}
