using System.Collections.Immutable;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>The CPU's speeds out of several moments, and in the layouts that it keeps for itself.</summary>
internal static class HostBench
{
    /// <summary>The middle of all moments, type by type.</summary>
    public static MatrixSpeeds Typical(IReadOnlyList<MatrixSpeeds> moments) => moments[0] with
    {
        Types = [.. moments[0].Types.Select((_, i) => Typical([.. moments.Select(moment => moment.Types[i])]))],
        ExpertShare = Middle(moments.Select(moment => moment.ExpertShare)),
        PromptExpertShare = Middle(moments.Select(moment => moment.PromptExpertShare ?? moment.ExpertShare)),
        MixtureSeconds = Middle(moments.Select(moment => moment.MixtureSeconds)),
    };

    /// <summary>What each type that has such a layout reaches there, as much more than its usual speed as than what it reached just before; other types as they are.</summary>
    /// <param name="usual">The CPU's usual speeds.</param>
    /// <param name="justBefore">The same as they were just before.</param>
    /// <param name="bytes">Memory for weights.</param>
    /// <param name="threads">The CPU's.</param>
    /// <param name="each">About how long each type is measured.</param>
    /// <param name="cancel">Stops it between runs.</param>
    public static MatrixSpeeds OwnLayouts(MatrixSpeeds usual, MatrixSpeeds justBefore, long bytes, int threads, TimeSpan each, CancellationToken cancel)
    {
        ImmutableArray<MatrixSpeed> now = justBefore.Types;
        foreach (IGrouping<nint, TensorType> layout in now.Select(speed => speed.Type).GroupBy(CpuLayouts.Of).Where(layout => layout.Key != 0))
        {
            using ComputeBench bench = In(layout.Key, bytes, threads);
            MatrixSpeeds own = bench.Speeds([.. layout], each, cancel);
            now = [.. now.Select(speed => own.Types.FirstOrDefault(one => one.Type == speed.Type) ?? speed)];
        }
        MatrixSpeeds result = usual with { Types = [.. usual.Types.Select((speed, i) => now[i] with
        {
            BytesPerSecond = now[i].BytesPerSecond * speed.BytesPerSecond / justBefore.Types[i].BytesPerSecond, FlopsPerSecond = now[i].FlopsPerSecond * speed.FlopsPerSecond / justBefore.Types[i].FlopsPerSecond,
        })] };
        // Experts may have another layout than matrices of their type, or none.
        MatrixSpeed packed = ComputeBench.Packed(now), plain = ComputeBench.Packed(justBefore.Types);
        nint experts = CpuLayouts.OfExperts(packed.Type);
        if (experts == 0)
            return ComputeBench.WithExperts(result, new(justBefore.ExpertShare * plain.BytesPerSecond / packed.BytesPerSecond, (justBefore.PromptExpertShare ?? justBefore.ExpertShare) * plain.FlopsPerSecond / packed.FlopsPerSecond, null, usual.MixtureSeconds));
        using ComputeBench apart = In(experts, bytes, threads);
        return ComputeBench.WithExperts(result, apart.Experts(packed, each, cancel));
    }

    private static MatrixSpeed Typical(IReadOnlyList<MatrixSpeed> moments) => moments.OrderBy(moment => moment.BytesPerSecond).ElementAt(moments.Count / 2) with { FlopsPerSecond = Middle(moments.Select(moment => moment.FlopsPerSecond)) };

    private static double Middle(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);

    private static ComputeBench In(nint layout, long bytes, int threads)
    {
        var bench = new ComputeBench(EngineDevices.Host(), bytes, layout);
        bench.SetThreads(threads);
        return bench;
    }
}
