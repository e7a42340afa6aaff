using System.CommandLine;
using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

internal static class PlanCommand
{
    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var placement = new PlacementOptions();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("plan", "Show where every layer would live and the exact bytes on each device; loads nothing") { path };
        placement.AddTo(command);
        command.Add(json);
        command.SetGuardedAction((parsed, _) =>
        {
            PlanOptions options = placement.Read(parsed);
            Checkpoint checkpoint = Checkpoint.Open(parsed.GetRequiredValue(path));
            ModelShape shape = checkpoint.Describe(options.WeightType);
            // The machine is asked only for what the user left open.
            Machine machine = options.MaxMemory is null ? Machine.Probe() : new Machine([], 0);
            Plan plan = Planner.Plan(shape, machine, options);
            if (parsed.GetValue(json)) Json.Print(PlanJson.Of(plan));
            else
            {
                PlanTable.Print(plan, shape, Terminal.Console);
                foreach (string note in checkpoint.Notes.Concat(plan.Notes)) Terminal.Console.MarkupLineInterpolated($"[yellow]note:[/] {note}");
            }
            return Task.CompletedTask;
        });
        return command;
    }
}
