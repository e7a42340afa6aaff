using System.CommandLine;
using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

internal static class PlanCommand
{
    private static readonly string[] s_formats = ["table", "json", "llamacpp", "llamasharp"];

    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var placement = new PlacementOptions();
        var format = new Option<string?>("--format") { Description = "How to print it: as llamacpp, arguments for llama.cpp's programs; as llamasharp, the JSON of LLamaSharp's ModelParams", HelpName = string.Join('|', s_formats) };
        var output = new Option<string?>("--out") { Description = "Also write the plan to a file that run --plan reads", HelpName = "FILE" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("plan", "Show where every layer would live and the exact bytes on each device; loads nothing") { path };
        placement.AddTo(command);
        command.Add(format);
        command.Add(output);
        command.Add(json);
        command.SetGuardedAction((parsed, _) =>
        {
            string chosen = Format(parsed.GetValue(format), parsed.GetValue(json));
            PlanOptions options = placement.Read(parsed);
            Checkpoint checkpoint = Checkpoint.Open(parsed.GetRequiredValue(path));
            ModelShape shape = checkpoint.Describe(options.WeightType);
            // The machine is asked only for what the user left open.
            Machine machine = options.MaxMemory is null ? Machine.Probe() : new Machine([], 0);
            Plan plan = Planner.Plan(shape, machine, options);
            if (parsed.GetValue(output) is { } file) Write(Path.GetFullPath(file), plan.ToJson());
            switch (chosen)
            {
                case "json": Json.Print(PlanJson.Of(plan)); break;
                case "llamacpp": PlanExports.PrintLlamaCpp(plan, checkpoint); break;
                case "llamasharp": PlanExports.PrintLlamaSharp(plan, checkpoint); break;
                default:
                    PlanTable.Print(plan, shape, Terminal.Console);
                    foreach (string note in checkpoint.Notes.Concat(plan.Notes)) Terminal.Console.MarkupLineInterpolated($"[yellow]note:[/] {note}");
                    break;
            }
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Write(string file, string text)
    {
        string partial = $"{file}.{Guid.NewGuid():N}.partial";
        try
        {
            File.WriteAllText(partial, text);
            File.Move(partial, file, overwrite: true);
        }
        finally { File.Delete(partial); }
    }

    private static string Format(string? format, bool json)
    {
        if (format is null) return json ? "json" : "table";
        if (!s_formats.Contains(format)) throw new InvalidOptionException($"--format: '{format}' is not one of {string.Join(", ", s_formats)}");
        return !json || format == "json" ? format : throw new InvalidOptionException($"--format {format} and --json: choose one");
    }
}
