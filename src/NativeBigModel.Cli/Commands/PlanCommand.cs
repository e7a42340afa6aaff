using System.CommandLine;
using NativeBigModel.Planning;
using NativeBigModel.Planning.Exports;
using NativeBigModel.Runtime;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

internal static class PlanCommand
{
    private static readonly string[] s_formats = ["table", "json", "llamacpp", "llamasharp", "devicemap"];

    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var placement = new PlacementOptions();
        var format = new Option<string?>("--format") { Description = "How to print it: as llamacpp, arguments for llama.cpp's programs; as llamasharp, the JSON of LLamaSharp's ModelParams; as devicemap, what accelerate answers to --device-map, modules by name, which --device-map reads as well", HelpName = string.Join('|', s_formats) };
        var output = new Option<string?>("--out") { Description = "Also write the plan to a file that run --plan reads", HelpName = "FILE" };
        var explain = new Option<bool>("--explain") { Description = "Say why each layer lies where it does, what the speed waits for, and what more memory, a smaller KV cache, other weights or another placement would buy" };
        var picture = new Option<string?>("--svg") { Description = "Also draw the plan: layers by devices, and the time of one token", HelpName = "FILE" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("plan", "Show where every layer would live and the exact bytes on each device; loads nothing") { path };
        placement.AddTo(command);
        command.Add(format);
        command.Add(output);
        command.Add(explain);
        command.Add(picture);
        command.Add(json);
        command.SetGuardedAction((parsed, _) =>
        {
            string chosen = Format(parsed.GetValue(format), parsed.GetValue(json));
            if (chosen == "devicemap" && parsed.FirstGiven(output, explain, picture) is { } useless)
                throw new InvalidOptionException($"{useless}: --format devicemap prints accelerate's map, and no plan is made");
            PlanOptions options = placement.Read(parsed);
            Checkpoint checkpoint = Checkpoint.Open(parsed.GetRequiredValue(path));
            ModelShape shape = checkpoint.Describe(options.WeightType);
            Machine machine = Machine.Probe();
            if (chosen == "devicemap")
            {
                DeviceMap map = options.DeviceMap ?? throw new InvalidOptionException("--format devicemap: --device-map says by which strategy");
                Console.Out.WriteLine(map.Infer(shape, machine, options.MaxMemory).ToJson());
                return Task.CompletedTask;
            }
            Plan plan = checkpoint.Plan(machine, options);
            var speeds = new SpeedModel(shape, machine.Speeds ?? MachineSpeeds.Assumed);
            if (parsed.GetValue(output) is { } file) Write(Path.GetFullPath(file), plan.ToJson());
            if (parsed.GetValue(picture) is { } drawing) Write(Path.GetFullPath(drawing), PlanPicture.Draw(plan, speeds));
            switch (chosen)
            {
                case "json": Json.Print(parsed.GetValue(explain) ? PlanExplanation.ToJson(plan, Alternatives()) : PlanJson.Of(plan)); break;
                case "llamacpp": PlanExports.PrintLlamaCpp(plan, checkpoint); break;
                case "llamasharp": PlanExports.PrintLlamaSharp(plan, checkpoint); break;
                default:
                    PlanTable.Print(plan, shape, Terminal.Console);
                    PlanTable.PrintSpeed(plan.Predicted!, Terminal.Console);
                    if (WhatIf.Optimized(shape, machine, options, plan)?.Plan?.Predicted is { } faster)
                        Terminal.Console.MarkupLineInterpolated($"with [bold]--optimize decode[/] a token takes {PlanTable.Seconds(faster.DecodeSeconds)}, and a prompt of {faster.PromptTokens} {PlanTable.Seconds(faster.PrefillSeconds)}");
                    if (parsed.GetValue(explain)) PlanExplanation.Print(plan, speeds.DecodeTimeline(plan), Alternatives(), Terminal.Console);
                    foreach (string note in checkpoint.Notes.Concat(plan.Notes).Concat(LoadGate.Warnings(plan, machine))) Terminal.Console.MarkupLineInterpolated($"[yellow]note:[/] {note}");
                    break;
            }
            return Task.CompletedTask;
            IReadOnlyList<WhatIf> Alternatives() => WhatIf.Alternatives(checkpoint.Describe, machine, options);
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
