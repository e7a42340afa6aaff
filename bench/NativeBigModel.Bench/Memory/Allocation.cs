using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Tensors;

namespace NativeBigModel.Bench.Memory;

/// <summary>A plan carried out as far as its memory goes: model and context, and what the engine then holds.</summary>
internal sealed class Allocation : IDisposable
{
    private readonly Plan _plan;
    private readonly EnginePlacement _placement;
    private readonly EngineModel _model;
    private readonly EngineContext _context;

    /// <exception cref="EngineException">There is less memory than the plan says.</exception>
    public Allocation(Checkpoint checkpoint, Plan plan)
    {
        EngineLibrary.Load();
        ModelDefinition definition = checkpoint.Define(plan.WeightType);
        _plan = plan;
        _placement = EnginePlacement.Of(plan, definition.Shape.Tensors);
        _model = EngineModel.Load(definition, _placement, plan, null, default);
        try { _context = EngineContext.Create(_model, plan, KvCache.SharesCells(definition.Shape, plan.Sessions), definition.Shape.VocabularySize); }
        catch
        {
            _model.Dispose();
            throw;
        }
    }

    /// <summary>What the engine says of each device.</summary>
    public IReadOnlyList<EngineBytes> Engine => EngineBytes.Of(_context, _placement) ?? throw new EngineException("the engine cannot be asked what it holds");

    /// <summary>What each device that layers are streamed to says.</summary>
    public IReadOnlyDictionary<string, NbmStats> Streams => _placement.Streams.ToDictionary(device => device.Key, device => device.Value.Stats);

    /// <summary>What each device but the disk holds, in the plan's terms.</summary>
    public IReadOnlyList<DevicePlan> Held
    {
        get
        {
            IReadOnlyList<EngineBytes> engine = Engine;
            IReadOnlyDictionary<string, NbmStats> streams = Streams;
            // What streams and does not stay in files rests in host memory.
            long resting = engine.Sum(device => device.StreamedBytes) - streams.Values.Sum(device => (long)device.FileBytes), staging = streams.Values.Sum(device => (long)device.StagingBytes);
            return [.. _plan.Devices.Where(device => device.Name != DeviceName.Disk).Select(device =>
            {
                EngineBytes held = engine.FirstOrDefault(one => one.Device == device.Name) ?? new(device.Name, 0, 0, 0, 0);
                bool host = device.Name == DeviceName.Host;
                return new DevicePlan(device.Name, held.WeightBytes + (host ? resting : 0), held.KvBytes, (long)streams.GetValueOrDefault(device.Name).RingBytes, host ? staging : 0, held.ComputeBytes, device.LimitBytes);
            })];
        }
    }

    /// <summary>Computes a prompt of at most so many tokens, and a token after it where there is room.</summary>
    /// <exception cref="EngineException">The engine failed.</exception>
    public void Compute(int most)
    {
        int prompt = Math.Max(1, Math.Min(most, _context.Batch.Capacity - 1));
        for (int position = 0; position < Math.Min(prompt + 1, _context.Length); position++)
        {
            _context.Batch.Add(1, position, 0, output: position >= prompt - 1);
            if (position < prompt - 1) continue;
            if (!_context.Compute() || !float.IsFinite(_context.Logits(_context.Batch.Count - 1)[0])) throw new EngineException($"{_plan.Model}: {_context.Batch.Count} tokens gave no logits");
            _context.Batch.Clear();
        }
    }

    public void Dispose()
    {
        _context.Dispose();
        _model.Dispose();
    }
}
