using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench.Contests;

/// <summary>What stands above results: the machine, the build, the command.</summary>
internal static class MachineHead
{
    public static IEnumerable<string> Describe(string verb, IEnumerable<string> arguments)
    {
        string build = typeof(MachineHead).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
        yield return $"machine: {Processor()}, {Environment.ProcessorCount} threads, {ByteSize.Format(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)} of RAM; {Gpu()}; {RuntimeInformation.OSDescription}";
        yield return $"build: NativeBigModel {build}, llama.cpp {EngineLibrary.BoundVersion}, .NET {Environment.Version}";
        yield return string.Create(CultureInfo.InvariantCulture, $"measured: {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, nbm-bench {verb} {string.Join(' ', arguments)}");
    }

    public static IEnumerable<string> Describe(string when, MachineSpeeds speeds)
    {
        yield return $"bandwidths {when}: CPU {Speeds(speeds.Cpu)}; disk {speeds.DiskBytesPerSecond / 1e9:0.0} GB/s";
        foreach (GpuSpeeds gpu in speeds.Gpus)
            yield return $"bandwidths {when}, {gpu.Name}: link {gpu.ToDevice / 1e9:0.0} GB/s from pinned memory; {Speeds(gpu.Matrices)}; at once, the CPU keeps {speeds.CpuBesideLink:0.00} of its speed with F16 and {speeds.CpuUnpackingBesideLink ?? speeds.CpuBesideLink:0.00} with Q4_0, and the link {speeds.LinkBesideCpu:0.00}";
    }

    private static string Speeds(MatrixSpeeds matrices) => string.Join(", ", matrices.Types.Select(type => $"{type.Type} {type.BytesPerSecond / 1e9:0.0} GB/s and {type.FlopsPerSecond / 1e12:0.00} TFLOPS"));

    private static string Processor()
    {
        const string name = "model name";
        string? line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) : null;
        return line is null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }

    private static string Gpu()
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo("nvidia-smi", ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]) { RedirectStandardOutput = true })!;
            string[] gpus = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
            process.WaitForExit();
            return process.ExitCode == 0 && gpus.Length > 0 ? string.Join("; ", gpus) : "no GPU";
        }
        catch (System.ComponentModel.Win32Exception) { return "no GPU"; }
    }
}
