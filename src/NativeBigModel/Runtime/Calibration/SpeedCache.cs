using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>Measured speeds in the user's cache folder, one file for each machine, set of devices and engine.</summary>
internal static class SpeedCache
{
    /// <summary>Where the speeds of this machine are or would be; null where the user has no such folder.</summary>
    public static string? File(IEnumerable<GpuDevice> gpus)
    {
        if (CacheFolder.Path is not { } folder) return null;
        string key = string.Join('\n', (string[])[Environment.MachineName, $"{Environment.ProcessorCount}", EngineLibrary.BoundVersion, .. gpus.Select(gpu => $"{gpu.Name} {gpu.Description} {gpu.TotalBytes}")]);
        return Path.Combine(folder, $"speeds-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)))[..16]}.json");
    }

    /// <summary>What was measured, or null where nothing was, or the file is not what was written.</summary>
    public static MachineSpeeds? Find(IEnumerable<GpuDevice> gpus)
    {
        try
        {
            if (File(gpus) is not { } file || !System.IO.File.Exists(file)) return null;
            MachineSpeeds? speeds = JsonSerializer.Deserialize(System.IO.File.ReadAllText(file), SpeedCacheJson.Default.MachineSpeeds);
            return speeds is not null && Sound(speeds) ? speeds : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException) { return null; }
    }

    /// <exception cref="IOException">The folder cannot be written to.</exception>
    public static string? Write(IEnumerable<GpuDevice> gpus, MachineSpeeds speeds)
    {
        if (File(gpus) is not { } file) return null;
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        string partial = $"{file}.{Guid.NewGuid():N}.partial";
        try
        {
            System.IO.File.WriteAllText(partial, JsonSerializer.Serialize(speeds, SpeedCacheJson.Default.MachineSpeeds));
            System.IO.File.Move(partial, file, overwrite: true);
        }
        finally { System.IO.File.Delete(partial); }
        return file;
    }

    private static bool Sound(MachineSpeeds speeds)
    {
        static bool Positive(params double[] values) => values.All(value => double.IsFinite(value) && value > 0);
        static bool NotLess(params double[] values) => values.All(value => double.IsFinite(value) && value >= 0);
        static bool Fast(MatrixSpeeds? matrices) => matrices is { Types.IsDefaultOrEmpty: false } && NotLess(matrices.LayerSeconds, matrices.PromptLayerSeconds ?? 0, matrices.MixtureSeconds, matrices.PassSeconds, matrices.PromptPassSeconds ?? 0) && Positive(matrices.ExpertShare, matrices.PromptExpertShare ?? 1, matrices.FewPromptExpertShare ?? 1, matrices.AttentionFlopsPerSecond ?? 1)
            && matrices.Types.All(type => type is not null && Positive(type.BytesPerSecond, type.FlopsPerSecond) && NotLess(type.StartSeconds, type.PromptStartSeconds));
        return Fast(speeds.Cpu) && speeds is { Threads: null or (> 0 and <= PlanOptions.MaxThreads), ThreadsBesideLink: null or (> 0 and <= PlanOptions.MaxThreads) } && (speeds.CpuOwnLayouts is null || Fast(speeds.CpuOwnLayouts)) && !speeds.Gpus.IsDefault && speeds.Gpus.All(gpu => gpu is not null && Positive(gpu.ToDevice, gpu.FromDevice, gpu.ToDeviceTogether ?? 1) && NotLess(gpu.CrossingSeconds ?? 0) && Fast(gpu.Matrices))
            && Positive(speeds.CpuBesideLink, speeds.CpuUnpackingBesideLink ?? 1, speeds.LinkBesideCpu, speeds.DiskBytesPerSecond);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true, UseStringEnumConverter = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(MachineSpeeds))]
internal sealed partial class SpeedCacheJson : JsonSerializerContext;
