using System.Text;
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
    private EnginePlacement(nint[] devices, float[] tensorSplit, int offloadedLayers, StreamingDevice? streaming, StreamingDevice? hostPlace, byte[]? streamedTensors) =>
        (Devices, TensorSplit, OffloadedLayers, Streaming, HostPlace, StreamedTensors) = (devices, tensorSplit, offloadedLayers, streaming, hostPlace, streamedTensors);

    /// <summary>Null-terminated, as llama_model_params.devices; only the terminator for a plan that the CPU computes from memory.</summary>
    public nint[] Devices { get; }

    /// <summary>Layers per device, padded to llama_max_devices().</summary>
    public float[] TensorSplit { get; }

    /// <summary>n_gpu_layers: all, or none without devices.</summary>
    public int OffloadedLayers { get; }

    /// <summary>The wrapped device, where layers are streamed.</summary>
    public StreamingDevice? Streaming { get; }

    /// <summary>Host memory as a device, where the CPU computes some layers and GPUs others.</summary>
    public StreamingDevice? HostPlace { get; }

    /// <summary>The devices that must live as long as the model.</summary>
    public IEnumerable<StreamingDevice> Owned => new[] { Streaming, HostPlace }.OfType<StreamingDevice>();

    /// <summary>The names of the streamed tensors as a regular expression, zero-terminated UTF-8.</summary>
    public byte[]? StreamedTensors { get; }

    /// <exception cref="EngineException">The plan uses a GPU that is not here, or streams and the plug-in is missing.</exception>
    public static EnginePlacement Of(Plan plan)
    {
        List<LayerPlacement> layers = [.. plan.Layers.Where(layer => layer.Name != Item.Input)];
        List<(string Device, int Layers)> runs = [.. layers.GroupBy(layer => layer.ComputeDevice).Select(run => (run.Key, run.Count()))];
        var split = new float[(int)LlamaSystemApi.LlamaMaxDevices()];
        List<LayerPlacement> streamed = [.. layers.Where(layer => layer.Streamed)];
        if (streamed.Count == 0 && runs is [(DeviceName.Host, _)]) return new([0], split, 0, null, null, null);
        for (int i = 0; i < runs.Count; i++) split[i] = runs[i].Layers;
        string? target = streamed.FirstOrDefault()?.ComputeDevice;
        StreamingDevice? streaming = target is null ? null : StreamingDevice.Create(Find(target), plan.RingSlots);
        bool hostBeside = target != DeviceName.Host && runs.Count > 1 && runs.Exists(run => run.Device == DeviceName.Host);
        StreamingDevice? hostPlace = hostBeside ? StreamingDevice.HostPlace(EngineDevices.Host()) : null;
        nint Device(string name) => name == target ? streaming!.Device : name == DeviceName.Host && hostBeside ? hostPlace!.Device : Find(name);
        nint[] devices = [.. runs.Select(run => Device(run.Device)), 0];
        return new(devices, split, layers.Count, streaming, hostPlace, target is null ? null : Encoding.UTF8.GetBytes(Pattern(streamed) + '\0'));
    }

    private static string Pattern(List<LayerPlacement> streamed) =>
        $"^({string.Join('|', streamed.Select(layer => layer.Name == Item.Output ? "output" : layer.Name.Replace(".", "\\.", StringComparison.Ordinal) + "\\."))})";

    private static nint Find(string name)
    {
        if (DeviceName.GpuIndex(name) is not { } index) return EngineDevices.Host();
        IReadOnlyList<nint> gpus = EngineDevices.Gpus();
        return index < gpus.Count ? gpus[index] : throw new EngineException($"the plan uses GPU {index}, and the engine sees {gpus.Count}");
    }
}
