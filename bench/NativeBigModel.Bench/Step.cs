using System.Diagnostics;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench;

/// <summary>One measured step in a process of its own. Prints seconds and the peak resident memory in bytes.</summary>
internal static class Step
{
    // llama.h, LLAMA_FTYPE_MOSTLY_...
    private static readonly Dictionary<WeightType, int> s_fileTypes = new() { [WeightType.Q8_0] = 7, [WeightType.Q4_K_S] = 14, [WeightType.Q4_K_M] = 15, [WeightType.Q5_K_S] = 16, [WeightType.Q5_K_M] = 17, [WeightType.Q6_K] = 18 };

    public static (double Seconds, long PeakBytes) Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(Step).Assembly.Location);
        start.ArgumentList.Add("step");
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        string[] figures = process.StandardOutput.ReadToEnd().Split(' ', StringSplitOptions.TrimEntries);
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"step {string.Join(' ', arguments)} failed with exit code {process.ExitCode}");
        return (double.Parse(figures[0]), long.Parse(figures[1]));
    }

    public static async Task<int> RunAsync(string[] arguments)
    {
        long started = Stopwatch.GetTimestamp();
        switch (arguments)
        {
            case ["convert", var folder, var output, var type]:
                await GgufConverter.ConvertAsync(Checkpoint.Open(folder), output, WeightTypes.Parse(type));
                break;
            case ["quantize", var input, var output, var type] when s_fileTypes.TryGetValue(WeightTypes.Parse(type), out int fileType):
                EngineLibrary.Load();
                LlamaModelQuantizeParams parameters = LlamaModelApi.LlamaModelQuantizeDefaultParams();
                parameters.NThread = Environment.ProcessorCount;
                parameters.Ftype = fileType;
                if (LlamaModelApi.LlamaModelQuantize(input, output, parameters) != 0) throw new InvalidOperationException("llama_model_quantize failed");
                break;
            case ["load", var folder, var type]:
                var options = new PlanOptions { WeightType = type == "as-stored" ? WeightType.AsStored : WeightTypes.Parse(type), ContextLength = 256 };
                await (await BigModel.LoadAsync(folder, options)).DisposeAsync();
                break;
            default:
                return 2;
        }
        Console.WriteLine($"{Stopwatch.GetElapsedTime(started).TotalSeconds} {PeakResidentBytes()}");
        return 0;
    }

    // Linux counts mapped file pages into VmHWM; the sum of what is anonymous and what is mapped is what a user sees.
    private static long PeakResidentBytes()
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan("VmHWM:".Length).Trim().TrimEnd("kB").Trim()) * 1024;
    }
}
