using NativeBigModel.Planning;

namespace NativeBigModel.Server;

/// <summary>What one pass over the model has cost lately. Thread-safe.</summary>
internal sealed class PassMonitor
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(200);

    private readonly BigModel _model;
    private readonly PassLanes _lanes;
    private PassReport? _last;

    public PassMonitor(BigModel model)
    {
        _model = model;
        var speeds = new SpeedModel(model.Checkpoint.Describe(model.Plan.WeightType), Machine.Probe().Speeds ?? MachineSpeeds.Assumed);
        _lanes = new(model.Plan, speeds.DecodeTimeline(model.Plan));
    }

    /// <summary>The last pass that was measured, or null before the first.</summary>
    public PassReport? Last => Volatile.Read(ref _last);

    /// <summary>Follows an answer.</summary>
    public Probe Follow() => new(this);

    /// <summary>One answer: its passes are measured between steps that are far enough apart.</summary>
    public sealed class Probe(PassMonitor monitor)
    {
        private StreamingStats? _streaming;
        private TimeSpan _elapsed;
        private int _count;
        private int _from;

        public void Add(GenerationStep step)
        {
            _count++;
            bool first = _count == 1;
            if (!first && step.Finish is null && step.Elapsed - _elapsed < s_interval) return;
            StreamingStats? now = step.Streaming ?? monitor._model.Streaming;
            if (!first)
            {
                int passes = _count - _from;
                Volatile.Write(ref monitor._last, monitor._lanes.Of((step.Elapsed - _elapsed) / passes, passes, now is null || _streaming is null ? null : now.Since(_streaming)));
            }
            (_streaming, _elapsed, _from) = (now, step.Elapsed, _count);
        }
    }
}
