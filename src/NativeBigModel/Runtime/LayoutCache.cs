using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>What the engine said about plans that it laid out, in the user's cache folder: a small file for each, so many at most. A file that is damaged, or that another process takes away, is as none.</summary>
internal static class LayoutCache
{
    private const int MostFiles = 512;
    private const string Prefix = "layout-";

    /// <summary>The file for a plan: one for each model, placement, context, batch, engine and set of devices. Null where the user has no cache folder.</summary>
    /// <param name="header">The model as the engine gets it: its metadata, and its tensors' names, shapes and types.</param>
    /// <param name="plan">A plan for it. Limits, reasons and predictions change nothing else that the engine lays out.</param>
    /// <param name="ownLayouts">Whether its limit leaves room for the CPU's own layouts of weights.</param>
    public static string? File(ReadOnlySpan<byte> header, Plan plan, bool ownLayouts)
    {
        if (CacheFolder.Path is not { } folder) return null;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(header);
        hash.AppendData(Encoding.UTF8.GetBytes(string.Join('\n', (string[])
        [
            EngineLibrary.BoundVersion, $"{typeof(LayoutCache).Module.ModuleVersionId}", .. Directory.EnumerateFiles(EngineLibrary.Folder!).Append(StreamingLibrary.FilePath ?? "").Order(StringComparer.Ordinal).Select(Stamp), .. EngineDevices.Backends(), .. EngineDevices.Gpus().Select(EngineDevices.Describe).Select(gpu => $"{gpu.Name} {gpu.TotalBytes}"),
            string.Create(CultureInfo.InvariantCulture, $"{plan.ContextLength} {plan.Sessions} {plan.KvType} {plan.FlashAttention} {plan.BatchSize} {plan.RingLayers} {plan.LinkedExperts} {plan.SharedBatchSize} {ownLayouts}"),
            .. plan.Layers.Select(layer => $"{layer.Name} {layer.Device} {layer.ComputeDevice} {layer.Streamed}"),
        ])));
        return Path.Combine(folder, $"{Prefix}{Convert.ToHexStringLower(hash.GetHashAndReset())[..32]}.json");
    }

    /// <summary>What a file says; null where there is none, or it is not what was written.</summary>
    public static IReadOnlyList<EngineBytes>? Find(string file)
    {
        try
        {
            if (!System.IO.File.Exists(file)) return null;
            EngineBytes[]? devices = JsonSerializer.Deserialize(System.IO.File.ReadAllText(file), LayoutCacheJson.Default.EngineBytesArray);
            if (devices is null or [] || !devices.All(Sound)) return null;
            System.IO.File.SetLastWriteTimeUtc(file, DateTime.UtcNow); // what is used stays
            return devices;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException) { return null; }
    }

    /// <summary>Writes a file whole or not at all, and takes away those that were not used for the longest time. A cache that cannot be written is none.</summary>
    public static void Keep(string file, IReadOnlyList<EngineBytes> devices)
    {
        string partial = $"{file}.{Guid.NewGuid():N}.partial";
        try
        {
            DirectoryInfo folder = Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            try
            {
                System.IO.File.WriteAllText(partial, JsonSerializer.Serialize([.. devices], LayoutCacheJson.Default.EngineBytesArray));
                System.IO.File.Move(partial, file, overwrite: true);
            }
            finally { System.IO.File.Delete(partial); }
            foreach (FileInfo old in folder.EnumerateFiles($"{Prefix}*").OrderByDescending(one => one.LastWriteTimeUtc).Skip(MostFiles)) old.Delete();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { }
    }

    private static bool Sound(EngineBytes? device) =>
        device is { WeightBytes: >= 0, StreamedBytes: >= 0, KvBytes: >= 0, ComputeBytes: >= 0 } && (device.Device == DeviceName.Host || DeviceName.GpuIndex(device.Device) is not null);

    // A library that was built anew may lay out otherwise, whatever version it says it is.
    private static string Stamp(string file) => file.Length > 0 && new FileInfo(file) is { Exists: true } info ? $"{info.Length} {info.LastWriteTimeUtc.Ticks}" : "";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(EngineBytes[]))]
internal sealed partial class LayoutCacheJson : JsonSerializerContext;
