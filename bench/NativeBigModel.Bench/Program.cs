using System.Globalization;
using NativeBigModel.Bench;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
return args switch
{
    ["convert", .. var rest] => ConvertBench.Run(rest),
    ["stock", var path, .. var rest] => StockRun.Run(path, rest),
    ["make", var folder, var gigabytes] => Make(folder, double.Parse(gigabytes)),
    ["load", .. var rest] => LoadBench.Run(rest),
    ["plan", .. var rest] => PlanBench.Run(rest),
    // What the benchmarks above run in processes of their own, to see each one's peak memory.
    ["step", .. var rest] => await Step.RunAsync(rest),
    _ => Usage(),
};

static int Make(string folder, double gigabytes)
{
    SyntheticCheckpoint.Make(folder, gigabytes);
    return 0;
}

static int Usage()
{
    Console.Error.WriteLine("usage: nbm-bench convert|load [GIGABYTES] [ROUNDS]    one-pass conversion against two steps; loading a folder as it is\n       nbm-bench plan [ROUNDS]                        planning models of 405 B parameters and of 256 experts, first and again\n       nbm-bench make DIR GIGABYTES                   a synthetic checkpoint\n       nbm-bench stock FILE.gguf [--ngl N] [--experts-on-cpu] [--prompt 512,2048] [--tokens N] [--rounds N] [--context N] [--threads N] [--ubatch N]\n                                                      stock llama.cpp, memory-mapped");
    return 2;
}
