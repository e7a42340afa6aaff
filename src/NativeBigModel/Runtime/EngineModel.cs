using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime;

/// <summary>
/// A model inside the engine. It is built from metadata made in memory: llama.cpp allocates the tensors where the plan says and this class
/// fills them, from any checkpoint format and in any type, on all cores.
/// </summary>
internal sealed unsafe class EngineModel : IDisposable
{
    // Headers of this size have a vocabulary in them that llama.cpp takes much longer to read than the rest.
    private const int VocabularyBytes = 1 << 20;

    private readonly MappedWeights? _mapped;

    private EngineModel(LlamaModelHandle handle, IReadOnlyDictionary<string, StreamingDevice> streams, MappedWeights? mapped = null) => (Handle, Streams, _mapped) = (handle, streams, mapped);

    public LlamaModelHandle Handle { get; }

    /// <summary>The devices that layers are streamed to, by <see cref="DeviceName"/>.</summary>
    public IReadOnlyDictionary<string, StreamingDevice> Streams { get; }

    /// <summary>Loads the tokenizer alone; no tensor is allocated and none is read.</summary>
    public static EngineModel LoadVocabulary(GgufMetadata metadata)
    {
        EngineLibrary.Load();
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        parameters.VocabOnly = 1;
        return new EngineModel(Create(metadata, [], parameters, null), new Dictionary<string, StreamingDevice>());
    }

    /// <summary>The model without memory: llama.cpp lays it out, and allocates nothing. Contexts of it are as empty.</summary>
    /// <exception cref="EngineException">llama.cpp refuses the model.</exception>
    public static EngineModel LayOut(ModelDefinition definition, EnginePlacement placement)
    {
        LlamaModelHandle handle = Create(definition, placement, new Collector(), allocates: false);
        foreach (StreamingDevice device in placement.Owned) handle.Hold(device.Handle);
        foreach (StreamingDevice device in placement.Owned) device.Commit();
        return new EngineModel(handle, placement.Streams);
    }

    /// <summary>Allocates and fills a whole model.</summary>
    /// <exception cref="EngineException">llama.cpp refuses the model or has not the memory.</exception>
    /// <exception cref="CheckpointException">The weights are damaged.</exception>
    public static EngineModel Load(ModelDefinition definition, Plan plan, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        EngineLibrary.Load();
        cancel.ThrowIfCancellationRequested();
        return Load(definition, EnginePlacement.Of(plan, definition.Shape.Tensors), plan, progress, cancel);
    }

    /// <summary>The same on devices that were made for the plan and are this model's.</summary>
    internal static EngineModel Load(ModelDefinition definition, EnginePlacement placement, Plan plan, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        var collected = new Collector();
        var mapped = new MappedWeights();
        LlamaModelHandle? handle = null;
        try
        {
            using (mapped.Begin(Resting(definition, placement, plan))) handle = Create(definition, placement, collected);
            foreach (StreamingDevice device in placement.Owned) handle.Hold(device.Handle);
            List<Target> targets = collected.Match(definition);
            PlacementProof.Require(plan, targets.Select(target => (target.Tensor.Spec, EngineBytes.DeviceOf(((GgmlTensor*)target.Address)->Buffer, placement))));
            targets = BindFiles(placement.Streams, targets, plan, definition, cancel);
            foreach (StreamingDevice device in placement.Owned)
            {
                device.Commit();
                targets = [.. targets.Select(target => target.Store is null && device.Bytes(target.Address) is not null ? target with { Store = device } : target)];
            }
            var tracker = new ProgressTracker(progress, targets.Sum(target => target.Tensor.Spec.Bytes));
            targets = [.. targets.Where(target => !IsOrdinary(target, placement) || !mapped.Take(target.Tensor, (GgmlTensor*)target.Address, handle))];
            mapped.Fill(tracker.Add, cancel);
            using var files = new CheckpointFiles();
            var sink = new EngineMemory([.. targets.Select(target => (target.Address, target.Store, placement.Whole.Contains(target.Tensor.Spec.Name), target.Tensor.Source.Type != target.Tensor.Spec.Type))]);
            TensorPump.Run([.. targets.Select(target => target.Tensor)], files, sink, tracker.Add, cancel);
            foreach (StreamingDevice device in placement.Owned) device.Start();
            placement.HostPlace?.Handle.Dispose(); // the model holds it
            return new EngineModel(handle, placement.Streams, mapped);
        }
        catch
        {
            handle?.Dispose();
            mapped.Dispose();
            foreach (StreamingDevice device in placement.Owned) device.Handle.Dispose();
            throw;
        }
    }

    /// <summary>Requires that the weights are still there; after every pass, because what was computed without them is worthless.</summary>
    /// <exception cref="CheckpointException">A file that the CPU reads in place was cut, or its disk failed.</exception>
    public void RequireWeights() => _mapped?.Require();

    public void Dispose()
    {
        Handle.Dispose();
        _mapped?.Dispose();
        foreach (StreamingDevice device in Streams.Values) device.Handle.Dispose();
    }

    private static LlamaModelHandle Create(ModelDefinition definition, EnginePlacement placement, Collector collector, bool allocates = true)
    {
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        using var overrides = new BufferOverrides(placement.Overrides);
        fixed (nint* devices = placement.Devices)
        fixed (float* split = placement.TensorSplit)
        {
            parameters.Devices = (GgmlBackendDevice**)devices;
            parameters.TensorSplit = split;
            parameters.NGpuLayers = placement.OffloadedLayers;
            parameters.LoadMode = LlamaLoadMode.None;
            parameters.NoAlloc = allocates ? (byte)0 : (byte)1;
            parameters.TensorBuftOverrides = overrides.Address;
            parameters.NoHost = 1; // pinned memory that llama.cpp allocates is slow to come by, and what it would hold is small
            return Create(definition.Metadata, definition.Shape.Tensors, parameters, collector);
        }
    }

    // What the CPU will likely compute with where it stands in the file: with devices of our own the memory is theirs.
    private static IEnumerable<ModelTensor> Resting(ModelDefinition definition, EnginePlacement placement, Plan plan)
    {
        if (placement.Owned.Any()) return [];
        HashSet<string> resting = [.. plan.Layers.Where(layer => layer is { Device: DeviceName.Host, Streamed: false }).Select(layer => layer.Name)];
        bool split = plan.SplitsLayers;
        return definition.Tensors.Where(tensor => !placement.Whole.Contains(tensor.Spec.Name) && resting.Contains(ItemName.Of(tensor.Spec, split)));
    }

    private static bool IsOrdinary(Target target, EnginePlacement placement) =>
        target.Store is null && !placement.Whole.Contains(target.Tensor.Spec.Name) && GgmlBackendApi.GgmlBackendBufferIsHost(((GgmlTensor*)target.Address)->Buffer);

    // Layers on disk are bound to their files; what remains to be filled is returned.
    private static List<Target> BindFiles(IReadOnlyDictionary<string, StreamingDevice> streams, List<Target> targets, Plan plan, ModelDefinition definition, CancellationToken cancel)
    {
        Dictionary<string, StreamingDevice> onDisk = plan.Layers.Where(layer => layer.Streamed && layer.Device == DeviceName.Disk).ToDictionary(layer => layer.Name, layer => streams[layer.ComputeDevice]);
        if (onDisk.Count == 0) return targets;
        bool split = plan.SplitsLayers;
        List<Target> bound = [.. targets.Where(target => onDisk.ContainsKey(ItemName.Of(target.Tensor.Spec, split)))];
        Dictionary<string, (string File, long Offset)> places = OffloadStore.Locate([.. bound.Select(target => target.Tensor)], definition.Shape.Name, plan.OffloadFolder, cancel);
        foreach (Target target in bound)
        {
            (string file, long offset) = places[target.Tensor.Spec.Name];
            onDisk[ItemName.Of(target.Tensor.Spec, split)].BindFile(target.Address, file, offset);
        }
        return [.. targets.Except(bound)];
    }

    private static LlamaModelHandle Create(GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors, LlamaModelParams parameters, Collector? collector)
    {
        long most = GgufWriter.MostBytes(metadata, tensors);
        if (most > int.MaxValue) throw new UnsupportedModelException($"the model's metadata takes up to {most} bytes, and at most {int.MaxValue} are handed to llama.cpp");
        using var header = new HugeBuffer((int)most);
        using var stream = new UnmanagedMemoryStream(header.Bytes, 0, most, FileAccess.Write);
        GgufWriter.Write(stream, metadata, tensors);
        if (stream.Length >= VocabularyBytes) NativeHeap.MakeRoom();
        long since = NativeLog.Count;
        using GgufHandle gguf = GgufApi.GgufInitFromBuffer(header.Bytes, (nuint)stream.Length, new GgufInitParams { NoAlloc = 1 });
        if (gguf.IsInvalid) throw new EngineException($"llama.cpp refused the model's metadata: {NativeLog.ErrorText(since)}");
        var self = GCHandle.Alloc(collector);
        try
        {
            LlamaModelHandle handle = LlamaModelApi.LlamaModelInitFromUser(gguf, &Collect, (void*)GCHandle.ToIntPtr(self), parameters);
            if (!handle.IsInvalid) return handle;
            handle.Dispose();
            throw new EngineException($"llama.cpp refused the model: {NativeLog.ErrorText(since)}");
        }
        finally { self.Free(); }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Collect(GgmlTensor* tensor, void* userData) =>
        ((Collector)GCHandle.FromIntPtr((nint)userData).Target!).Tensors.Add((nint)tensor);

    /// <summary>A tensor that llama.cpp allocated, and the store that its bytes go to if not to the tensor's own memory.</summary>
    private readonly record struct Target(ModelTensor Tensor, nint Address, StreamingDevice? Store = null);

    /// <summary>The tensors that llama.cpp asked to have filled; it lives as long as the model.</summary>
    private sealed class Collector
    {
        public List<nint> Tensors { get; } = [];

        public List<Target> Match(ModelDefinition definition)
        {
            Dictionary<string, ModelTensor> known = definition.Tensors.ToDictionary(tensor => tensor.Spec.Name, StringComparer.Ordinal);
            var targets = new List<Target>();
            foreach (nint address in Tensors)
            {
                var tensor = (GgmlTensor*)address;
                string name = Utf8.Text(tensor->Name);
                if (!known.TryGetValue(name, out ModelTensor? model)) throw new EngineException($"llama.cpp's graph wants the tensor {name}, which the checkpoint does not have");
                if (tensor->Type != model.Spec.Type || (long)GgmlApi.GgmlNBytes(tensor) != model.Spec.Bytes)
                    throw new EngineException($"{name}: llama.cpp's graph has {GgmlApi.GgmlNBytes(tensor)} bytes of {tensor->Type}, and the checkpoint {model.Spec.Bytes} of {model.Spec.Type}");
                targets.Add(new Target(model, address));
            }
            return targets;
        }
    }
}
