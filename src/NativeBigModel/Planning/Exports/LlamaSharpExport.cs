using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace NativeBigModel.Planning.Exports;

/// <summary>A plan as the JSON that LLamaSharp's <c>ModelParams</c> reads (0.28.0, Common/ModelParams.cs and Abstractions/IModelParams.cs).</summary>
public static class LlamaSharpExport
{
    // llama_max_devices(), which is what ModelParams makes its array of.
    private const int MaxGpus = 16;
    private const int SplitByLayer = 1;

    private static readonly JsonSerializerOptions s_options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    /// <summary>Writes a plan down. The member <c>NativeBigModel</c>, which LLamaSharp passes over, says where it then does otherwise than the plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="modelPath">The GGUF file.</param>
    /// <exception cref="InvalidOptionException">The plan uses the GPUs in another order than theirs, or more than LLamaSharp can name.</exception>
    public static string ToJson(Plan plan, string modelPath)
    {
        ArgumentNullException.ThrowIfNull(plan);
        StockPlacement placement = StockPlacement.Of(plan);
        if (placement.LayersOfGpu.Length > MaxGpus) throw new InvalidOptionException($"export: the plan uses GPU {placement.LayersOfGpu.Length - 1}, and LLamaSharp splits over GPUs 0 to {MaxGpus - 1}");
        int batch = Math.Min(plan.BatchSize, plan.ContextLength);
        var json = new JsonObject
        {
            ["ModelPath"] = modelPath,
            ["ContextSize"] = plan.ContextLength * (long)plan.Sessions,
            ["GpuLayerCount"] = placement.GpuLayers,
            ["MainGpu"] = 0,
            ["SplitMode"] = SplitByLayer,
            ["UseMemorymap"] = true,
            ["BatchSize"] = batch,
            ["UBatchSize"] = batch,
            ["TypeK"] = (int)plan.KvType,
            ["TypeV"] = (int)plan.KvType,
            ["FlashAttention"] = plan.FlashAttention,
        };
        if (plan.Sessions > 1) json["SeqMax"] = plan.Sessions;
        // A list that is null is dereferenced when LLamaSharp loads the model, so one that says nothing is left out.
        if (placement.GpuLayers > 0) json["TensorSplits"] = new JsonArray([.. placement.LayersOfGpu.Select(layers => (JsonNode)layers)]);
        // Without layers on GPUs the CPU computes large batches too, as the plan has it.
        else json["OpOffload"] = false;
        if (placement.HostTensors is { } tensors) json["TensorBufferOverrides"] = new JsonArray(new JsonObject { ["Pattern"] = tensors, ["BufferType"] = "CPU" });
        json["NativeBigModel"] = new JsonObject { ["Notes"] = new JsonArray([.. placement.Notes.Select(note => (JsonNode)note)]) };
        return json.ToJsonString(s_options);
    }
}
