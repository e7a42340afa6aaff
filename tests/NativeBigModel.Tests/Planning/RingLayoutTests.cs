using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Where weights lie in a ring, and what that means for when they come.</summary>
public class RingLayoutTests
{
    // Groups of one step or two, each of some tensors, and a ring that has room for the largest.
    private static (long Ring, double Start, (string Step, string Group, IReadOnlyList<long> Tensors)[] Steps) Some(int seed)
    {
        var random = new Random(seed);
        List<(string Step, string Group, IReadOnlyList<long> Tensors)> steps = [];
        for (int i = 0; i < random.Next(1, 7); i++)
            for (int part = 0; part < random.Next(1, 3); part++) steps.Add(($"{i}.{part}", $"{i}", [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => random.NextInt64(1, 10))]));
        long ring = steps.GroupBy(step => step.Group).Max(one => one.Sum(step => step.Tensors.Sum())) + random.NextInt64(30);
        return (ring, random.NextInt64(ring), [.. steps]);
    }

    [Fact]
    public void Groups_follow_each_other_round_the_ring()
    {
        RingLayout layout = RingLayout.Of([("a", "a", [1, 1, 1]), ("b", "b", [1, 1, 1]), ("c", "c", [1, 1, 1])], 4, 0);
        Assert.Equal([[new(0, 3)], [new(3, 4), new(0, 2)], [new(2, 4), new(0, 1)]], (Stretch[][])[[.. layout.Of("a")], [.. layout.Of("b")], [.. layout.Of("c")]]);
        Assert.Equal(["a"], layout.First());
        // A tensor lies in one piece, and what a group would take of its own beginning it takes from the ring's beginning on.
        layout = RingLayout.Of([("a", "a", [2, 1]), ("b", "b", [2, 2])], 4.5, 0);
        Assert.Equal([new(0, 4)], (Stretch[])[.. layout.Of("b")]);
        layout = RingLayout.Of([("a", "a", [2]), ("b", "b", [2, 2]), ("c", "c", [2])], 7, 0);
        Assert.Equal([[new(2, 6)], [new(0, 2)]], (Stretch[][])[[.. layout.Of("b")], [.. layout.Of("c")]]);
        Assert.Equal(["a", "b"], layout.First());
    }

    [Fact]
    public void What_a_group_needs_is_in_the_ring_and_nothing_of_it_twice() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
        {
            (long Ring, double Start, (string Step, string Group, IReadOnlyList<long> Tensors)[] Steps) one = Some(seed);
            RingLayout layout = RingLayout.Of(one.Steps, one.Ring, one.Start);
            foreach (IGrouping<string, (string Step, string Group, IReadOnlyList<long> Tensors)> group in one.Steps.GroupBy(step => step.Group))
            {
                Stretch[] places = [.. group.SelectMany(step => layout.Of(step.Step))];
                Assert.Equal(group.Sum(step => step.Tensors.Sum()), places.Sum(place => place.To - place.From));
                Assert.All(places, place => Assert.InRange(place.To, place.From, one.Ring));
                Assert.All(places, place => Assert.Single(places, place.Overlaps));
            }
            Stretch[] first = [.. layout.First().SelectMany(step => layout.Of(step))];
            Assert.All(first, place => Assert.Single(first, place.Overlaps));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Theory]
    [InlineData(4, 10)]
    [InlineData(9, 9)]
    public void What_lies_where_the_last_of_a_pass_does_comes_when_that_is_computed(double ring, double seconds)
    {
        // Three groups of three seconds each, and four in which the CPU computes before the last one: of four places that one has two of the first one's.
        RingLayout layout = RingLayout.Of([("a", "a", [1, 1, 1]), ("b", "b", [1, 1, 1]), ("c", "c", [1, 1, 1])], ring, 0);
        Step Streamed(string name) => new(name, PlanResource.Gpu, "0", 0, name, 3, PlanResource.Link, 3) { Places = layout.Of(name) };
        Step[] pass = [Streamed("a"), Streamed("b"), new("x", PlanResource.Cpu, "cpu", 4, null, 0, default, 0), Streamed("c")];
        var simulation = new RingSimulation(keepsTimeline: false);
        for (int i = 0; i < 3; i++) simulation.Run(pass);
        double before = simulation.Now;
        simulation.Run(pass);
        Assert.Equal(seconds, simulation.Now - before, 9);
    }
}
