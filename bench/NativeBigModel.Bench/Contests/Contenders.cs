using System.Diagnostics;
using System.Globalization;

namespace NativeBigModel.Bench.Contests;

/// <summary>The list of contenders: one that is added here is in every contest.</summary>
internal static class Contenders
{
    /// <summary>All of them, the first being what the others are compared with.</summary>
    public static IReadOnlyList<Contender> All { get; } =
    [
        new Nbm("nbm hybrid", "--offload", "hybrid"),
        new Nbm("nbm streamed", "--offload", "stream"),
        new Nbm("nbm optimize", "--optimize", "decode"),
        new Nbm("nbm cpu", "--offload", "cpu"),
        new NbmInRam("nbm", fromDisk: false),
        new NbmInRam("nbm from disk", fromDisk: true),
        new Stock("llama.cpp ngl"),
        new Stock("llama.cpp fit", "--fit"),
        new Stock("llama.cpp experts on CPU", "--experts-on-cpu"),
        new Torch("accelerate", "accelerate"),
        new Torch("torch eager", "eager"),
        new Torch("torch pinned", "eager-pinned"),
        new TorchSharp("TorchSharp eager"),
        new TorchSharp("TorchSharp pinned", "--pinned"),
        new Torch("AirLLM's method", "airllm"),
    ];

    /// <summary>The contenders whose names begin with one of <paramref name="names"/>, in the order of the list.</summary>
    /// <exception cref="InvalidOptionException">A name is none's; the message lists all.</exception>
    public static IReadOnlyList<Contender> Named(IReadOnlyList<string> names)
    {
        if (names.FirstOrDefault(name => !All.Any(one => one.Name.StartsWith(name, StringComparison.Ordinal))) is { } unknown)
            throw new InvalidOptionException($"'{unknown}' is none of the contenders {string.Join(", ", All.Select(one => one.Name))}");
        return [.. All.Where(one => names.Any(name => one.Name.StartsWith(name, StringComparison.Ordinal)))];
    }

    private static string[] Prompt(Case one) => ["--prompt", $"{one.Prompt}", "--tokens", $"{one.Tokens}", "--rounds", "1"];

    /// <summary>This library with a budget of the GPU.</summary>
    private sealed record Nbm(string Name, params string[] How) : Contender(Name)
    {
        public override string? Absent => Programs.Nbm is null ? "nbm is not beside this program" : null;

        public override bool Takes(Case one) => one.OnGpu;

        public override IReadOnlyList<string> Command(Case one, string path) =>
            [.. Programs.Nbm!, "bench", path, "--json", "--max-memory", $"0={one.BudgetBytes}B,cpu={one.HostBytes}B", "--context", $"{one.Context}", .. How, .. Prompt(one)];
    }

    /// <summary>This library with a budget of RAM and no GPU: what does not fit is streamed from the file, or everything is.</summary>
    private sealed record NbmInRam(string Name, bool fromDisk) : Contender(Name)
    {
        // What the program itself takes of the budget: its code, its tables, files read while it starts.
        private const long Overhead = 192L << 20;

        public override string? Absent => Programs.Nbm is null ? "nbm is not beside this program" : null;

        public override bool Takes(Case one) => !one.OnGpu;

        public override IReadOnlyList<string> Command(Case one, string path) =>
        [
            .. Programs.Nbm!, "bench", path, "--json", "--max-memory", $"cpu={one.BudgetBytes - Overhead}B", "--context", $"{one.Context}",
            .. fromDisk ? (string[])["--offload", "disk"] : [], .. Prompt(one),
        ];
    }

    /// <summary>llama.cpp from the same library as it loads and computes by itself, with as many layers on the GPU as the budget holds by a given rule.</summary>
    private sealed record Stock(string Name, params string[] How) : Contender(Name)
    {
        // What its buffers and the CUDA runtime take before the first layer.
        private const long Buffers = 900L << 20;

        public override bool Takes(Case one) => How.Length == 0 || (one.OnGpu && (How[0] == "--fit" || one.Model.Experts.Count > 0));

        public override IReadOnlyList<string> Command(Case one, string path) =>
        [
            .. Programs.This, "stock", path, "--context", $"{one.Context}", .. Prompt(one),
            .. How switch
            {
                ["--fit"] => (string[])["--fit", $"{one.BudgetBytes}"],
                [var option] => [option, "--ngl", "999"],
                _ => ["--ngl", $"{(one.OnGpu ? Layers(one) : 0)}"],
            },
        ];

        private static int Layers(Case one)
        {
            long layer = one.Model.Tensors.Where(tensor => tensor.Layer == 0).Sum(tensor => tensor.Bytes) + 4L * one.Context * one.Model.KvHeads * one.Model.HeadLength;
            long output = one.Model.Tensors.Where(tensor => tensor.IsOutput).Sum(tensor => tensor.Bytes);
            // llama.cpp counts the output as one more, and puts it on the GPU first.
            return (int)Math.Clamp(1 + (one.BudgetBytes - Buffers - output) / layer, 0, one.Model.Layers + 1);
        }
    }

    /// <summary>PyTorch, by bench/rivals/torch_rivals.py.</summary>
    private sealed record Torch(string Name, string Method) : Contender(Name)
    {
        private static readonly Lazy<string?> s_absent = new(() => Programs.TorchRivals is null ? "bench/rivals/torch_rivals.py is not in this folder or one above" : Programs.Fails("python3", "-c", "import torch, transformers, accelerate; assert torch.cuda.is_available(), 'torch sees no GPU'"));

        public override string? Absent => s_absent.Value;

        public override bool ReadsFolder => true;

        public override bool KnowsNoBudget(Case one) => Method != "accelerate";

        public override bool Takes(Case one) => one.OnGpu && one.Model is { Type: WeightType.F16, Experts.Count: 0 };

        public override IReadOnlyList<string> Command(Case one, string path) =>
        [
            "python3", Programs.TorchRivals!, "run", Method, path, "--gpu", GiB(one.BudgetBytes), "--cpu", GiB(one.HostBytes),
            "--offload", Path.Combine(one.Work, "accelerate"), .. Prompt(one),
        ];

        private static string GiB(long bytes) => (bytes / (double)(1L << 30)).ToString("0.###", CultureInfo.InvariantCulture);
    }

    /// <summary>The same loop in C#, bench/TorchSharp.</summary>
    private sealed record TorchSharp(string Name, params string[] How) : Contender(Name)
    {
        public override string? Absent => Programs.TorchSharp is null ? "bench/TorchSharp is not built (-c Release -p:NbmTorchSharp=true)" : null;

        public override bool ReadsFolder => true;

        public override bool KnowsNoBudget(Case one) => one.OnGpu;

        public override bool Takes(Case one) => (one.OnGpu || How.Length == 0) && one.Model is { Type: WeightType.F16, Experts.Count: 0 };

        public override IReadOnlyList<string> Command(Case one, string path) => [Programs.TorchSharp!, path, .. How, .. Prompt(one), "--device", one.OnGpu ? "cuda" : "cpu"];
    }
}

/// <summary>Where the contenders' programs are.</summary>
internal static class Programs
{
    private static readonly Lazy<string[]?> s_nbm = new(() => Dotnet(Path.Combine(AppContext.BaseDirectory, "nbm.dll")));

    /// <summary>nbm beside this program, or null.</summary>
    public static string[]? Nbm => s_nbm.Value;

    /// <summary>This program.</summary>
    public static string[] This { get; } = Dotnet(Path.Combine(AppContext.BaseDirectory, "nbm-bench.dll"))!;

    /// <summary>The script with PyTorch's ways, in the working folder or one above; null where it is not.</summary>
    public static string? TorchRivals { get; } = Above(Directory.GetCurrentDirectory(), Path.Combine("bench", "rivals", "torch_rivals.py"));

    /// <summary>bench/TorchSharp's program, if it was built; null where it was not.</summary>
    public static string? TorchSharp { get; } = Above(Directory.GetCurrentDirectory(), Path.Combine("bench", "TorchSharp", "bin", "Release", "net10.0", "torchsharp-layers"));

    /// <summary>Why a command does not succeed, in its last words, or null.</summary>
    public static string? Fails(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            string errors = process.StandardError.ReadToEnd().Trim();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : errors.Split('\n')[^1];
        }
        catch (System.ComponentModel.Win32Exception error) { return error.Message; }
    }

    // As this process was started: by the host, or by a program of its own, which an application published for one system has alone.
    private static string[]? Dotnet(string library) =>
        !File.Exists(library) ? null
        : Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? [host, library]
        : [Path.ChangeExtension(library, OperatingSystem.IsWindows() ? ".exe" : null)];

    private static string? Above(string folder, string path)
    {
        for (DirectoryInfo? one = new(folder); one is not null; one = one.Parent)
        {
            if (Path.Combine(one.FullName, path) is var candidate && File.Exists(candidate)) return candidate;
        }
        return null;
    }
}
