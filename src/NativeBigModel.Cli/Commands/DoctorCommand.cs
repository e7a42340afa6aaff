using System.CommandLine;

namespace NativeBigModel.Cli.Commands;

/// <summary>Says what this machine has for running models, and measures how fast it is.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        var path = new Argument<string?>("PATH") { Description = "A checkpoint, whose disk is looked at as well", Arity = ArgumentArity.ZeroOrOne };
        var calibrate = new Option<bool>("--calibrate") { Description = "Measure links, GPUs, CPU and disk in under 20 s, and keep the result for plans" };
        var folder = new Option<string?>("--offload-folder") { Description = "A folder whose disk is looked at, and measured", HelpName = "DIR" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("doctor", "Show the devices, memory, disks and engine of this machine; measure its speeds") { path, calibrate, folder, json };
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            string? checkpoint = parsed.GetValue(path), offload = parsed.GetValue(folder);
            if (checkpoint is not null && !Path.Exists(checkpoint)) throw new InvalidOptionException($"{checkpoint}: there is no such file or folder");
            string[] places = [checkpoint ?? Directory.GetCurrentDirectory(), .. offload is null ? Array.Empty<string>() : [offload]];
            if (parsed.GetValue(calibrate))
            {
                string disk = offload ?? (checkpoint is null ? Directory.GetCurrentDirectory() : Directory.Exists(checkpoint) ? checkpoint : Path.GetDirectoryName(Path.GetFullPath(checkpoint))!);
                using var progress = new StepLine();
                await MachineCalibration.MeasureAsync(disk, progress, cancel).ConfigureAwait(false);
            }
            MachineReport report = MachineReport.Examine(places);
            if (parsed.GetValue(json)) Json.Print(DoctorReport.ToJson(report));
            else DoctorReport.Print(report, Terminal.Console);
        });
        return command;
    }

    // What is being measured, on stderr where that is a terminal.
    private sealed class StepLine : IProgress<CalibrationProgress>, IDisposable
    {
        private readonly bool _visible = !Console.IsErrorRedirected;

        public void Report(CalibrationProgress value)
        {
            if (_visible) Console.Error.Write($"\rmeasuring {100 * value.Share,3:0} %  {value.Measuring,-50}");
        }

        public void Dispose()
        {
            if (_visible) Console.Error.Write("\r" + new string(' ', 70) + "\r");
        }
    }
}
