using System.Text.RegularExpressions;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>
/// A plan in llama.cpp's terms: a list of devices and how many consecutive layers each takes. Host memory is the last device of the list when
/// some layers are computed there, so that layers and their KV cache land exactly where the plan has them. A device that layers are streamed to is
/// wrapped, and a pattern sends their weights to the wrapper's buffer type. Several are, where several GPUs stream.
/// </summary>
internal sealed class EnginePlacement
{
    private EnginePlacement(IReadOnlyList<nint> gpus, nint[] devices, float[] tensorSplit, int offloadedLayers) => (Gpus, Devices, TensorSplit, OffloadedLayers) = (gpus, devices, tensorSplit, offloadedLayers);

    /// <summary>The plan's GPUs in its order, as ggml_backend_dev_t.</summary>
    public IReadOnlyList<nint> Gpus { get; }

    /// <summary>Null-terminated, as llama_model_params.devices; only the terminator for a plan that the CPU computes from memory.</summary>
    public nint[] Devices { get; }

    /// <summary>Layers per device, padded to llama_max_devices().</summary>
    public float[] TensorSplit { get; }

    /// <summary>n_gpu_layers: all, or none without devices.</summary>
    public int OffloadedLayers { get; }

    /// <summary>The wrapped devices that layers are streamed to, by <see cref="DeviceName"/>.</summary>
    public IReadOnlyDictionary<string, StreamingDevice> Streams { get; private init; } = new Dictionary<string, StreamingDevice>();

    /// <summary>Host memory as a device, where the CPU computes some layers and GPUs others.</summary>
    public StreamingDevice? HostPlace { get; private init; }

    /// <summary>The devices that must live as long as the model.</summary>
    public IEnumerable<StreamingDevice> Owned => HostPlace is null ? Streams.Values : Streams.Values.Append(HostPlace);

    /// <summary>Regular expressions of the names of tensors that do not go to their device's own memory, and the ggml_backend_buffer_type_t that they go to; the first that matches counts.</summary>
    public IReadOnlyList<(string Pattern, nint BufferType)> Overrides { get; private init; } = [];

    /// <summary>The CPU's own layouts that weights lie in.</summary>
    public IReadOnlyList<CpuLayouts.Layout> Layouts { get; private init; } = [];

    /// <summary>The tensors in those, which take whole tensors only.</summary>
    public IReadOnlySet<string> Whole => field ??= Layouts.SelectMany(layout => layout.Tensors).ToHashSet();

    /// <summary>Everything that a plan computes on one device, which is the plan's only GPU.</summary>
    /// <param name="device">A ggml_backend_dev_t.</param>
    /// <param name="plan">The plan, which streams nothing.</param>
    public static EnginePlacement WhollyOn(nint device, Plan plan)
    {
        int layers = plan.EngineLayers.Count();
        var split = new float[(int)LlamaSystemApi.LlamaMaxDevices()];
        split[0] = layers;
        return new([device], [device, 0], split, layers);
    }

    /// <exception cref="EngineException">The plan uses a GPU that is not here, or streams and the plug-in is missing.</exception>
    public static EnginePlacement Of(Plan plan, IReadOnlyList<TensorSpec> tensors) => Of(plan, tensors, EngineDevices.Gpus());

    /// <summary>The same with these ggml_backend_dev_t for the plan's GPUs.</summary>
    public static unsafe EnginePlacement Of(Plan plan, IReadOnlyList<TensorSpec> tensors, IReadOnlyList<nint> gpus)
    {
        nint Find(string name)
        {
            if (DeviceName.GpuIndex(name) is not { } index) return EngineDevices.Host();
            return index < gpus.Count ? gpus[index] : throw new EngineException($"the plan uses GPU {index}, and the engine sees {gpus.Count}");
        }
        List<LayerPlacement> items = [.. plan.Computed], layers = [.. plan.EngineLayers];
        List<(string Device, int Layers)> runs = [.. layers.GroupBy(layer => layer.ComputeDevice).Select(run => (run.Key, run.Count()))];
        var split = new float[(int)LlamaSystemApi.LlamaMaxDevices()];
        IReadOnlyList<CpuLayouts.Layout> layouts = LayoutsOf(plan, tensors);
        IEnumerable<(string, nint)> laidOut = layouts.Select(layout => (Names(layout.Tensors), layout.BufferType));
        var routes = new RingRoutes(plan.Layers);
        if (routes.Devices.Count == 0 && runs is [(DeviceName.Host, _)]) return new(gpus, [0], split, 0) { Overrides = [.. laidOut], Layouts = layouts };
        for (int i = 0; i < runs.Count; i++) split[i] = runs[i].Layers;
        var streams = new Dictionary<string, StreamingDevice>();
        StreamingDevice? hostPlace = null;
        try
        {
            foreach (string device in routes.Devices) streams.Add(device, StreamingDevice.Create(Find(device), plan.Devices.First(one => one.Name == device).RingBytes, sharedBatch: plan.SharedBatchSize, linkedExperts: plan.LinkedExperts));
            bool hostBeside = runs.Count > 1 && runs.Exists(run => run.Device == DeviceName.Host) && !streams.ContainsKey(DeviceName.Host);
            if (hostBeside) hostPlace = StreamingDevice.HostPlace(EngineDevices.Host(), Find(runs.First(run => run.Device != DeviceName.Host).Device));
            nint[] devices = [.. runs.Select(run => streams.TryGetValue(run.Device, out StreamingDevice? wrapped) ? wrapped.Device : run.Device == DeviceName.Host && hostPlace is not null ? hostPlace.Device : Find(run.Device)), 0];
            var overrides = new List<(string, nint)>();
            void Send(Func<LayerPlacement, bool> belongs, GgmlBackendBufferType* type)
            {
                if (TensorPattern.Of([.. items.Where(belongs)], plan.SplitsLayers, "output") is { } names) overrides.Add(($"^(enc\\.|dec\\.)?({names})", (nint)type));
            }
            foreach ((string name, StreamingDevice device) in streams)
            {
                Send(layer => layer.Streamed && routes.Of(layer) == name, device.BufferType);
                Send(layer => !layer.Streamed && routes.Of(layer) == name, device.SharedBufferType);
            }
            if (hostPlace is not null) Send(layer => layer is { ComputeDevice: DeviceName.Host, Streamed: false } && routes.Of(layer) is null, hostPlace.SharedBufferType);
            return new(gpus, devices, split, layers.Count) { Streams = streams, HostPlace = hostPlace, Overrides = [.. overrides, .. laidOut], Layouts = layouts };
        }
        catch
        {
            foreach (StreamingDevice device in streams.Values) device.Handle.Dispose();
            throw;
        }
    }

    /// <summary>The CPU's own layouts that a plan's weights will lie in.</summary>
    public static IReadOnlyList<CpuLayouts.Layout> LayoutsOf(Plan plan, IReadOnlyList<TensorSpec> tensors) =>
        !plan.SplitsLayers && plan.EngineLayers.All(layer => layer.ComputeDevice == DeviceName.Host) ? CpuLayouts.Choose(plan, tensors) : [];

    // Layers of one kind of tensor share an alternative: llama.cpp tries the expression on every tensor of the model.
    private static string Names(IReadOnlySet<string> tensors)
    {
        IEnumerable<string> kinds = tensors.GroupBy(name => name[(name.IndexOf('.', name.StartsWith("blk.", StringComparison.Ordinal) ? 4 : 0) + 1)..]).Select(kind =>
            kind.Key is "weight" ? "output\\.weight" : $"blk\\.({string.Join('|', kind.Select(name => name.Split('.')[1]))})\\.{Regex.Escape(kind.Key)}");
        return $"^({string.Join('|', kinds)})$";
    }
}
