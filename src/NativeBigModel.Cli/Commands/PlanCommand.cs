using System.CommandLine;
using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

internal static class PlanCommand
{
    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        Option<string?> maxMemory = CommonOptions.MaxMemory(), type = CommonOptions.Type();
        Option<int?> context = CommonOptions.Context();
        Option<string> kvType = CommonOptions.KvType();
        Option<string> offload = CommonOptions.Offload();
        Option<int> ring = CommonOptions.Ring();
        Option<string?> offloadFolder = CommonOptions.OffloadFolder();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("plan", "Show where every layer would live and the exact bytes on each device; loads nothing") { path, maxMemory, context, kvType, type, offload, ring, offloadFolder, json };
        command.SetGuardedAction((parsed, _) =>
        {
            var options = new PlanOptions
            {
                WeightType = CommonOptions.ParseType(parsed.GetValue(type)),
                MaxMemory = CommonOptions.ParseMaxMemory(parsed.GetValue(maxMemory)),
                ContextLength = parsed.GetValue(context),
                KvType = CommonOptions.ParseKvType(parsed.GetRequiredValue(kvType)),
                Offload = CommonOptions.ParseOffload(parsed.GetRequiredValue(offload)),
                RingSlots = parsed.GetValue(ring),
                OffloadFolder = parsed.GetValue(offloadFolder),
            };
            Checkpoint checkpoint = Checkpoint.Open(parsed.GetRequiredValue(path));
            ModelShape shape = checkpoint.Describe(options.WeightType);
            // The machine is asked only for what the user left open.
            Machine machine = options.MaxMemory is null ? Machine.Probe() : new Machine([], 0);
            Plan plan = Planner.Plan(shape, machine, options);
            if (parsed.GetValue(json)) Json.Print(PlanJson.Of(plan));
            else
            {
                PlanTable.Print(plan, shape, Terminal.Console);
                foreach (string note in checkpoint.Notes) Terminal.Console.MarkupLineInterpolated($"[yellow]note:[/] {note}");
            }
            return Task.CompletedTask;
        });
        return command;
    }
}
