using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli;

/// <summary>Why a plan has its places and its speed, and what would change it.</summary>
internal static class PlanExplanation
{
    // Differences within this of the whole are rounding.
    private const double Same = 0.005;

    public static void Print(Plan plan, IReadOnlyList<TimelineSegment> token, IReadOnlyList<WhatIf> alternatives, IAnsiConsole console)
    {
        Prediction predicted = plan.Predicted!;
        Table reasons = new Table().Border(TableBorder.None).HideHeaders().AddColumn(new TableColumn("").NoWrap()).AddColumn("");
        foreach (IGrouping<string, LayerPlacement> same in plan.Layers.GroupBy(layer => layer.Reason)) reasons.AddRow(Markup.Escape(PlanTable.Runs(plan, layer => layer.Reason == same.Key)), Markup.Escape(same.Key));
        console.Write(reasons);
        bool severalLinks = token.Where(Links).Select(segment => segment.Device).Distinct().Count() > 1;
        IEnumerable<string> busy = token.GroupBy(segment => (segment.Resource, Device: Links(segment) ? segment.Device : "")).OrderBy(group => group.Key)
            .Select(group => $"{Name(group.Key.Resource)}{(severalLinks && group.Key.Device.Length > 0 ? $" to {DeviceName.Label(group.Key.Device)}" : "")} {Busy(group) / predicted.DecodeSeconds:P0}");
        console.MarkupLineInterpolated($"while a token is computed, these are at work: {string.Join(", ", busy)}");
        console.MarkupLineInterpolated($"{Advice(plan)}");
        var table = new Table().Border(TableBorder.Rounded);
        table.AddColumn(new TableColumn("what if").NoWrap());
        foreach (string amount in (string[])["a token", "", "a prompt", ""]) table.AddColumn(new TableColumn(amount).RightAligned().NoWrap());
        foreach (WhatIf alternative in alternatives)
        {
            if (alternative.Plan?.Predicted is { } other)
                table.AddRow(alternative.Change, PlanTable.Seconds(other.DecodeSeconds), Change(predicted.DecodeSeconds, other.DecodeSeconds), PlanTable.Seconds(other.PrefillSeconds), Change(predicted.PrefillSeconds, other.PrefillSeconds));
            else table.AddRow(alternative.Change, "does not fit", "", "", "");
        }
        console.Write(table);
    }

    public static object ToJson(Plan plan, IReadOnlyList<WhatIf> alternatives) => new
    {
        Plan = PlanJson.Of(plan),
        Alternatives = alternatives.Select(alternative => new { alternative.Change, Fits = alternative.Plan is not null, alternative.Plan?.Predicted }),
    };

    private static bool Links(TimelineSegment segment) => segment.Resource == PlanResource.Link;

    private static double Busy(IEnumerable<TimelineSegment> segments) => segments.Sum(segment => segment.End - segment.Start);

    private static string Name(PlanResource resource) => resource switch { PlanResource.Gpu => "GPU", PlanResource.Link => "link", PlanResource.Cpu => "CPU", _ => "disk" };

    private static string Advice(Plan plan) => plan.Predicted!.DecodeLimit switch
    {
        PlanResource.Gpu => "the GPU reads every weight once a token from its own memory: fewer bytes a weight are faster, more memory is not",
        PlanResource.Link => "what the GPUs cannot hold crosses the link once a token: each GiB more on a GPU, or computed by the CPU beside it, is a GiB less",
        PlanResource.Cpu when plan.Layers.Any(layer => DeviceName.GpuIndex(layer.ComputeDevice) is not null) => "the CPU reads its part once a token from RAM: each GiB more on a GPU, or over the link beside it, is a GiB less",
        PlanResource.Cpu => "the CPU reads every weight once a token from RAM: fewer bytes a weight are faster, and so is a GPU",
        _ => "what RAM cannot hold is read from disk for every token: each GiB more of RAM, or fewer bytes a weight, is a GiB less",
    };

    private static string Change(double before, double after)
    {
        double factor = before / after;
        return Math.Abs(factor - 1) <= Same ? "the same" : factor > 1 ? $"[green]{(factor < 10 ? $"{factor:0.00}" : $"{factor:0}")} x faster[/]" : $"[red]{1 / factor:0.00} x slower[/]";
    }
}
