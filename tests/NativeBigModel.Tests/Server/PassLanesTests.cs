using NativeBigModel.Planning;
using NativeBigModel.Server;

namespace NativeBigModel.Tests.Server;

public class PassLanesTests
{
    private static readonly TimelineSegment[] s_predicted = [new(PlanResource.Gpu, "blk.0", 0, 1), new(PlanResource.Gpu, "blk.1", 1, 2), new(PlanResource.Cpu, "blk.1.ffn", 2, 3), new(PlanResource.Gpu, "output", 3, 4), new(PlanResource.Link, "blk.0", 0, 4)];

    [Fact]
    public void A_pass_is_laid_out_from_what_was_measured()
    {
        // 10 ms, of which 2 waited for the first group and nothing for the second.
        StreamingStats streamed = Stats(Group("blk.0", loads: 1, load: 5, wait: 2), Group("blk.1", loads: 1, load: 2, wait: 0));
        PassReport pass = Lanes().Of(TimeSpan.FromMilliseconds(10), 1, streamed);
        Assert.Equal((10, 2), (pass.Milliseconds, pass.WaitMilliseconds));
        Assert.Equal([("gpu", "blk.0", 2d, 4d), ("gpu", "blk.1", 4d, 6d), ("cpu", "blk.1.ffn", 6d, 8d), ("gpu", "output", 8d, 10d)], pass.Segments.Where(segment => segment.Lane is "gpu" or "cpu").Select(segment => (segment.Lane, segment.Item, segment.Start, segment.End)));
        // The second came just before it was needed at 4; the first, for which computing waited until 2, had begun during the pass before.
        Assert.Equal([("blk.0", 0d, 2d), ("blk.0", 7d, 10d), ("blk.1", 2d, 4d)], pass.Segments.Where(segment => segment.Lane == "link").Select(segment => (segment.Item, segment.Start, segment.End)).Order());
        Assert.Equal(2_000_000 / 0.010, pass.BytesPerSecond!.Value, 1);
        Assert.Equal(2_000_000 / 0.007, pass.CopyBytesPerSecond!.Value, 1);
        Assert.Equal("link", pass.HeldUpBy);
    }

    [Fact]
    public void Without_streaming_all_is_computing()
    {
        PassReport pass = Lanes().Of(TimeSpan.FromMilliseconds(4), 3, null);
        Assert.Equal((4d, 0d, null, null), (pass.Milliseconds, pass.WaitMilliseconds, pass.BytesPerSecond, pass.HeldUpBy));
        Assert.Equal([0d, 1d, 2d, 3d], pass.Segments.Select(segment => segment.Start));
        Assert.Equal(4, pass.Segments[^1].End, 9);
    }

    private static PassLanes Lanes() => new(Planner.Plan(Checkpoint.Open(TestFolders.Capitals).Describe(WeightType.AsStored), new Machine([], 1 << 30), Capitals.Small()), s_predicted);

    private static StreamedGroup Group(string name, long loads, double load, double wait) => new(name, 1_000_000, 0, false, loads, loads * 1_000_000, TimeSpan.FromMilliseconds(load), null, TimeSpan.FromMilliseconds(wait));

    private static StreamingStats Stats(params StreamedGroup[] groups) => new(
        groups, 0, 0, false, 0, 0, groups.Sum(group => group.Loads), groups.Sum(group => group.HostBytes), 0, true,
        TimeSpan.FromTicks(groups.Sum(group => group.LoadTime.Ticks)), TimeSpan.FromTicks(groups.Sum(group => group.WaitTime.Ticks)), 0, 0);
}
