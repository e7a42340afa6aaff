using NativeBigModel.Planning;

namespace NativeBigModel.Bench;

/// <summary>
/// A sharded BF16 checkpoint to Q4_K_M: in one pass as this library does it, against the usual two steps, convert to F16 and then
/// llama_model_quantize. Rounds alternate A B A B in one run; compare the ratio, not the seconds.
/// </summary>
internal static class ConvertBench
{
    public static int Run(string[] arguments) => SyntheticCheckpoint.Use(arguments, (folder, rounds) =>
    {
        Checkpoint checkpoint = Checkpoint.Open(folder);
        long largest = checkpoint.StoredTensors.Max(tensor => tensor.Bytes);
        Console.WriteLine($"checkpoint {ByteSize.Format(checkpoint.Describe().WeightBytes)}, {checkpoint.StoredTensors.Select(tensor => tensor.File).Distinct().Count()} shards, largest tensor {ByteSize.Format(largest)}, {Environment.ProcessorCount} cores");
        Console.WriteLine("round,one_pass_s,one_pass_peak_bytes,f16_s,quantize_s,two_step_s,two_step_peak_bytes,ratio");
        string once = Path.Combine(folder, "once.gguf"), half = Path.Combine(folder, "f16.gguf"), twice = Path.Combine(folder, "twice.gguf");
        for (int round = 1; round <= rounds; round++)
        {
            (double onePass, long onePassPeak) = Step.Start("convert", folder, once, "q4_k_m");
            (double toHalf, long halfPeak) = Step.Start("convert", folder, half, "f16");
            (double quantize, long quantizePeak) = Step.Start("quantize", half, twice);
            double twoSteps = toHalf + quantize;
            Console.WriteLine($"{round},{onePass:0.00},{onePassPeak},{toHalf:0.00},{quantize:0.00},{twoSteps:0.00},{Math.Max(halfPeak, quantizePeak)},{onePass / twoSteps:0.000}");
            File.Delete(half);
            File.Delete(twice);
        }
    });
}
