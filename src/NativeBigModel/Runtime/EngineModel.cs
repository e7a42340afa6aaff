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
    private EngineModel(LlamaModelHandle handle) => Handle = handle;

    public LlamaModelHandle Handle { get; }

    /// <summary>Loads the tokenizer alone; no tensor is allocated and none is read.</summary>
    public static EngineModel LoadVocabulary(ModelDefinition definition)
    {
        EngineLibrary.Load();
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        parameters.VocabOnly = 1;
        return new EngineModel(Create(definition.Metadata, [], parameters, null));
    }

    /// <summary>Allocates and fills a whole model.</summary>
    /// <exception cref="EngineException">llama.cpp refuses the model or has not the memory.</exception>
    /// <exception cref="CheckpointException">The weights are damaged.</exception>
    public static EngineModel Load(ModelDefinition definition, Plan plan, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        EngineLibrary.Load();
        cancel.ThrowIfCancellationRequested();
        var placement = EnginePlacement.Of(plan);
        var collected = new Collector();
        LlamaModelHandle handle;
        fixed (nint* devices = placement.Devices)
        fixed (float* split = placement.TensorSplit)
        {
            LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
            parameters.Devices = (GgmlBackendDevice**)devices;
            parameters.TensorSplit = split;
            parameters.NGpuLayers = placement.OffloadedLayers;
            parameters.LoadMode = LlamaLoadMode.None;
            handle = Create(definition.Metadata, definition.Shape.Tensors, parameters, collected);
        }
        try
        {
            List<Target> targets = collected.Match(definition);
            var tracker = new ProgressTracker(progress, targets.Sum(target => target.Tensor.Spec.Bytes));
            using var files = new CheckpointFiles();
            TensorPump.Run([.. targets.Select(target => target.Tensor)], files, new MemorySink(targets), tracker.Add, cancel);
            return new EngineModel(handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose() => Handle.Dispose();

    private static LlamaModelHandle Create(GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors, LlamaModelParams parameters, Collector? collector)
    {
        (byte[] header, _) = GgufWriter.Write(metadata, tensors);
        long since = NativeLog.Count;
        fixed (byte* bytes = header)
        {
            using GgufHandle gguf = GgufApi.GgufInitFromBuffer(bytes, (nuint)header.Length, new GgufInitParams { NoAlloc = 1 });
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
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Collect(GgmlTensor* tensor, void* userData) =>
        ((Collector)GCHandle.FromIntPtr((nint)userData).Target!).Tensors.Add((nint)tensor);

    private readonly record struct Target(ModelTensor Tensor, nint Address);

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

    private sealed class MemorySink(List<Target> targets) : ITensorSink
    {
        private readonly bool[] _host = [.. targets.Select(target => GgmlBackendApi.GgmlBackendBufferIsHost(((GgmlTensor*)target.Address)->Buffer))];

        public Span<byte> Begin(int tensor, long offset, int bytes, byte[] scratch) =>
            _host[tensor] ? new Span<byte>((byte*)((GgmlTensor*)targets[tensor].Address)->Data + offset, bytes) : scratch.AsSpan(0, bytes);

        public void End(int tensor, long offset, ReadOnlySpan<byte> piece)
        {
            if (_host[tensor]) return;
            fixed (byte* from = piece) GgmlBackendApi.GgmlBackendTensorSet((GgmlTensor*)targets[tensor].Address, from, (nuint)offset, (nuint)piece.Length);
        }
    }
}
