namespace NativeBigModel.Bench;

/// <summary>Loads a sharded BF16 folder as it is and quantised on the way: time, and peak memory against the bytes of the weights.</summary>
internal static class LoadBench
{
    public static int Run(string[] arguments)
    {
        double gigabytes = arguments.Length > 0 ? double.Parse(arguments[0]) : 4;
        int rounds = arguments.Length > 1 ? int.Parse(arguments[1]) : 2;
        DirectoryInfo work = Directory.CreateTempSubdirectory("nbm-bench");
        try
        {
            string folder = SyntheticCheckpoint.Make(Path.Combine(work.FullName, "model"), gigabytes);
            Checkpoint checkpoint = Checkpoint.Open(folder);
            Console.WriteLine("round,type,seconds,weight_bytes,peak_bytes,over_bytes");
            for (int round = 1; round <= rounds; round++)
            {
                foreach ((string name, WeightType type) in ((string, WeightType)[])[("as-stored", WeightType.AsStored), ("f16", WeightType.F16), ("q8_0", WeightType.Q8_0), ("q4_k_m", WeightType.Q4_K_M)])
                {
                    long weights = checkpoint.Describe(type).WeightBytes;
                    (double seconds, long peak) = Step.Start("load", folder, name);
                    Console.WriteLine($"{round},{name},{seconds:0.00},{weights},{peak},{peak - weights}");
                }
            }
            return 0;
        }
        finally { work.Delete(recursive: true); }
    }
}
