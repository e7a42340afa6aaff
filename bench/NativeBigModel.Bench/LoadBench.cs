namespace NativeBigModel.Bench;

/// <summary>Loads a sharded BF16 folder as it is and quantised on the way: time, and peak memory against the bytes of the weights.</summary>
internal static class LoadBench
{
    private static readonly (string Name, WeightType Type)[] s_types =
        [("as-stored", WeightType.AsStored), ("f16", WeightType.F16), ("q8_0", WeightType.Q8_0), ("q4_k_m", WeightType.Q4_K_M)];

    public static int Run(string[] arguments) => SyntheticCheckpoint.Use(arguments, (folder, rounds) =>
    {
        Checkpoint checkpoint = Checkpoint.Open(folder);
        Console.WriteLine("round,type,seconds,weight_bytes,peak_bytes,over_bytes");
        for (int round = 1; round <= rounds; round++)
        {
            foreach ((string name, WeightType type) in s_types)
            {
                long weights = checkpoint.Describe(type).WeightBytes;
                (double seconds, long peak) = Step.Start("load", folder, name);
                Console.WriteLine($"{round},{name},{seconds:0.00},{weights},{peak},{peak - weights}");
            }
        }
    });
}
