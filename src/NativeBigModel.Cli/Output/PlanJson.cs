using NativeBigModel.Planning;

namespace NativeBigModel.Cli;

/// <summary>A plan as the tool prints it.</summary>
internal static class PlanJson
{
    public static object Of(Plan plan) => new
    {
        plan.Model,
        Type = plan.WeightType.ToString(),
        Context = plan.ContextLength,
        plan.Sessions,
        KvType = plan.KvType.ToString(),
        plan.FlashAttention,
        plan.BatchSize,
        plan.RingLayers,
        plan.LinkedExperts,
        plan.SharedBatchSize,
        plan.Threads,
        plan.WeightBytes,
        plan.KvBytes,
        Devices = plan.Devices.Select(device => new { device.Name, Weights = device.WeightBytes, Kv = device.KvBytes, Ring = device.RingBytes, Staging = device.StagingBytes, Compute = device.ComputeBytes, Total = device.TotalBytes, Limit = device.LimitBytes }),
        Layers = plan.Layers.Select(layer => new { layer.Name, Bytes = layer.WeightBytes, Kv = layer.KvBytes, layer.Device, Compute = layer.ComputeDevice, layer.Streamed, layer.Reason }),
        plan.ComputeMeasured,
        plan.Predicted,
        plan.Notes,
    };
}
