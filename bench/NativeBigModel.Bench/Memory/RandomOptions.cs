using System.Collections.Immutable;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench.Memory;

/// <summary>Options of plans at random: limits between barely nothing and everything, and whatever else changes what a device holds.</summary>
internal static class RandomOptions
{
    private const long Everything = 4L << 30; // for caches and buffers beside all weights

    private static readonly TensorType[] s_caches = [TensorType.F16, TensorType.F32, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_0];

    /// <summary>The next options.</summary>
    /// <param name="random">Draws them.</param>
    /// <param name="machine">What there is.</param>
    /// <param name="model">The model's shape.</param>
    public static PlanOptions Next(Random random, Machine machine, ModelShape model)
    {
        bool flash = random.Next(4) > 0;
        long Limit(long free, int least) => Math.Min(free, (long)(model.WeightBytes / least * Math.Pow(least * 1.3, random.NextDouble())));
        // The last GPU is always named, so that most draws are of a GPU; host memory is often plentiful, and sometimes not named.
        var gpus = machine.Gpus.Select((gpu, i) => KeyValuePair.Create(i, Limit(gpu.FreeBytes, 64))).Where(gpu => gpu.Key == machine.Gpus.Length - 1 || random.Next(3) > 0).ToImmutableSortedDictionary();
        long? host = random.Next(6) switch
        {
            0 => gpus.IsEmpty ? Limit(machine.HostFreeBytes, 16) : null,
            1 => Limit(machine.HostFreeBytes, 16),
            _ => Math.Min(machine.HostFreeBytes, model.WeightBytes + Everything),
        };
        var options = new PlanOptions
        {
            WeightType = WeightType.AsStored,
            MaxMemory = new() { Gpus = gpus, Host = host },
            ContextLength = (int)(64 * Math.Pow(model.ContextLength / 64.0, random.NextDouble())),
            Sessions = random.Next(3) == 0 ? random.Next(2, 5) : 1,
            BatchSize = random.Next(3) == 0 ? null : random.Next(1, 1025),
            FlashAttention = flash,
            KvType = s_caches[random.Next(flash ? s_caches.Length : 2)],
            RingLayers = random.Next(2) == 0 ? null : 1 + random.NextDouble() * 3,
            Offload = (OffloadMode)random.Next(4),
            CpuShare = random.Next(2) == 0 ? null : random.NextDouble(),
        };
        return random.Next(5) == 0 ? options with { Optimize = (Objective)random.Next(4), Offload = OffloadMode.Cpu, CpuShare = null } : options;
    }

    /// <summary>The options in one line.</summary>
    public static string Describe(PlanOptions options)
    {
        string limits = string.Join(", ", options.MaxMemory!.Gpus.Select(gpu => $"{DeviceName.Gpu(gpu.Key)}={gpu.Value}").Append(options.MaxMemory.Host is { } host ? $"cpu={host}" : "no cpu"));
        string way = options.Optimize is { } objective ? $"optimize {objective}" : options.CpuShare is { } share && options.Offload == OffloadMode.Hybrid ? $"{options.Offload} {share:0.00}" : $"{options.Offload}";
        return $"{way}, {limits}, context {options.ContextLength} x {options.Sessions}, KV {options.KvType}{(options.FlashAttention ? "" : ", no flash attention")}, batch {options.BatchSize?.ToString() ?? "-"}, ring {options.RingLayers?.ToString("0.00") ?? "-"}";
    }
}
