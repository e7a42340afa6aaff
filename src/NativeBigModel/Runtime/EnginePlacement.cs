using System.Text;
using System.Text.RegularExpressions;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>
/// A plan in llama.cpp's terms: a list of devices and how many consecutive layers each takes. Host memory is the last device of the list when
/// some layers are computed there, so that layers and their KV cache land exactly where the plan has them. A device that layers are streamed to is
/// wrapped, and a pattern sends their weights to the wrapper's buffer type.
/// </summary>
internal sealed class EnginePlacement
{
    private EnginePlacement(nint[] devices, float[] tensorSplit, int offloadedLayers) => (Devices, TensorSplit, OffloadedLayers) = (devices, tensorSplit, offloadedLayers);

    /// <summary>Null-terminated, as llama_model_params.devices; only the terminator for a plan that the CPU computes from memory.</summary>
    public nint[] Devices { get; }

    /// <summary>Layers per device, padded to llama_max_devices().</summary>
    public float[] TensorSplit { get; }

    /// <summary>n_gpu_layers: all, or none without devices.</summary>
    public int OffloadedLayers { get; }

    /// <summary>The wrapped device, where layers are streamed.</summary>
    public StreamingDevice? Streaming { get; private init; }

    /// <summary>The device that is wrapped there, as ggml_backend_dev_t; 0 where none is.</summary>
    public nint StreamingInner { get; private init; }

    /// <summary>Host memory as a device, where the CPU computes some layers and GPUs others.</summary>
    public StreamingDevice? HostPlace { get; private init; }

    /// <summary>The devices that must live as long as the model.</summary>
    public IEnumerable<StreamingDevice> Owned => new[] { Streaming, HostPlace }.OfType<StreamingDevice>();

    /// <summary>The names of the streamed tensors as a regular expression, zero-terminated UTF-8, or null where there are none.</summary>
    public byte[]? StreamedTensors { get; private init; }

    /// <summary>Likewise the tensors that the CPU computes with between streamed ones.</summary>
    public byte[]? SharedTensors { get; private init; }

    /// <exception cref="EngineException">The plan uses a GPU that is not here, or streams and the plug-in is missing.</exception>
    public static EnginePlacement Of(Plan plan)
    {
        List<LayerPlacement> items = [.. plan.Layers.Where(layer => layer.Name != Item.Input)];
        // A layer is where its attention is computed; its feed-forward part may be elsewhere.
        List<LayerPlacement> layers = [.. items.Where(layer => FeedForwardPart.LayerOf(layer.Name) is null)];
        List<(string Device, int Layers)> runs = [.. layers.GroupBy(layer => layer.ComputeDevice).Select(run => (run.Key, run.Count()))];
        var split = new float[(int)LlamaSystemApi.LlamaMaxDevices()];
        List<LayerPlacement> streamed = [.. items.Where(layer => layer.Streamed)], shared = [.. items.Except(layers).Where(IsShared)];
        if (streamed.Count == 0 && runs is [(DeviceName.Host, _)]) return new([0], split, 0);
        for (int i = 0; i < runs.Count; i++) split[i] = runs[i].Layers;
        // What the CPU shares with a device is in hybrid plans, where that is the last one.
        string? target = streamed.FirstOrDefault()?.ComputeDevice ?? (shared.Count > 0 ? runs[^1].Device : null);
        StreamingDevice? streaming = target is null ? null : StreamingDevice.Create(Find(target), plan.RingSlots, sharedBatch: PlanOptions.SharedBatchSize);
        bool hostBeside = target != DeviceName.Host && runs.Count > 1 && runs.Exists(run => run.Device == DeviceName.Host);
        StreamingDevice? hostPlace = hostBeside ? StreamingDevice.HostPlace(EngineDevices.Host()) : null;
        nint Device(string name) => name == target ? streaming!.Device : name == DeviceName.Host && hostBeside ? hostPlace!.Device : Find(name);
        nint[] devices = [.. runs.Select(run => Device(run.Device)), 0];
        return new(devices, split, layers.Count)
        {
            Streaming = streaming,
            StreamingInner = target is null ? 0 : Find(target),
            HostPlace = hostPlace,
            StreamedTensors = Pattern(streamed, plan.SplitsLayers),
            SharedTensors = Pattern(shared, plan.SplitsLayers),
        };
    }

    /// <summary>Whether the CPU computes a feed-forward part where it rests, beside a device that computes the rest of the layer.</summary>
    private static bool IsShared(LayerPlacement part) => part is { ComputeDevice: DeviceName.Host, Streamed: false };

    // In a plan that splits layers, blk.N is what the layer has besides its feed-forward part.
    private static byte[]? Pattern(List<LayerPlacement> placed, bool split)
    {
        if (placed.Count == 0) return null;
        IEnumerable<string> names = placed.Select(layer => layer.Name switch
        {
            Item.Output => "output",
            var name when FeedForwardPart.LayerOf(name) is { } whole => $"{Regex.Escape(whole)}\\.{FeedForwardPart.Names}",
            var name => $"{Regex.Escape(name)}\\.{(split ? $"(?!{FeedForwardPart.Names})" : "")}",
        });
        return Encoding.UTF8.GetBytes($"^({string.Join('|', names)})\0");
    }

    private static nint Find(string name)
    {
        if (DeviceName.GpuIndex(name) is not { } index) return EngineDevices.Host();
        IReadOnlyList<nint> gpus = EngineDevices.Gpus();
        return index < gpus.Count ? gpus[index] : throw new EngineException($"the plan uses GPU {index}, and the engine sees {gpus.Count}");
    }
}
