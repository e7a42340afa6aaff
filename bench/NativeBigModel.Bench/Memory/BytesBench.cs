using System.Diagnostics;
using System.Globalization;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Bench.Memory;

/// <summary>Plans with random options, carried out: the bytes of every kind that each device holds against those that were planned, and what its driver has given.</summary>
internal static class BytesBench
{
    public const string Usage = "bytes FILE.gguf... [--count 15] [--seed 1] [--csv FILE]";

    /// <summary>The most that planned and held bytes may differ by, in parts of the planned.</summary>
    public const double Tolerance = 0.005;

    private const int TokensOfCpu = 64; // what a CPU computes of a model of 8 B parameters in a second or two
    private const int Draws = 200; // for each plan that fits

    private static readonly (string Name, Func<DevicePlan, long> Of)[] s_kinds =
        [("weights", device => device.WeightBytes), ("kv", device => device.KvBytes), ("compute", device => device.ComputeBytes), ("ring", device => device.RingBytes), ("staging", device => device.StagingBytes)];

    private sealed record Row(int Number, string Model, string Options, DevicePlan Planned, DevicePlan Held, long? DriverBytes, long? KeptBytes)
    {
        public bool IsWithin => s_kinds.All(kind => Math.Abs(kind.Of(Held) - kind.Of(Planned)) <= Tolerance * kind.Of(Planned));

        public bool IsOver => Held.TotalBytes > Held.LimitBytes;
    }

    /// <returns>1 if a device holds another number of bytes of a kind, or more than its limit.</returns>
    public static int Run(string[] given, TextWriter output)
    {
        string[] paths = [.. given.TakeWhile(one => !one.StartsWith("--", StringComparison.Ordinal))];
        Arguments arguments = new Arguments(given).Only("--count", "--seed", "--csv");
        if (paths.Length == 0) throw new InvalidOptionException("bytes: name at least one model");
        int count = arguments.Number("--count", 15), refused = 0;
        var random = new Random(arguments.Number("--seed", 1));
        Checkpoint[] checkpoints = [.. paths.Select(Checkpoint.Open)];
        long started = Stopwatch.GetTimestamp();
        List<Row> rows = [];
        for (int number = 1; number <= count; number++)
        {
            Checkpoint checkpoint = checkpoints[(number - 1) % checkpoints.Length];
            (PlanOptions options, Plan plan) = Draw(checkpoint);
            string name = $"{Path.GetFileNameWithoutExtension(checkpoint.Path)}, {RandomOptions.Describe(options)}";
            List<Row> carried = Carry(number, checkpoint, plan, RandomOptions.Describe(options));
            output.WriteLine($"{number,3} {name}");
            foreach (Row row in carried.Where(row => row.Planned.TotalBytes + row.Held.TotalBytes > 0)) output.WriteLine("    " + Describe(row));
            rows.AddRange(carried);
        }
        if (arguments.Has("--csv")) File.WriteAllLines(arguments.Text("--csv", ""), [Columns, .. rows.Select(Line)]);
        int within = rows.GroupBy(row => row.Number).Count(one => one.All(row => row.IsWithin)), over = rows.GroupBy(row => row.Number).Count(one => one.Any(row => row.IsOver));
        output.WriteLine($"{within} of {count} plans have every kind of bytes on every device within {Tolerance:0.0 %}, {over} have a device over its limit; at most {rows.Max(row => Off(row.Planned.TotalBytes, row.Held.TotalBytes)):+0.000;-0.000;0} % and at least {rows.Min(row => Off(row.Planned.TotalBytes, row.Held.TotalBytes)):+0.000;-0.000;0} % of a device's total"
            + $"; {refused} draws did not fit; {Stopwatch.GetElapsedTime(started).TotalSeconds:0} s");
        if (rows.Exists(row => row.DriverBytes is not null))
            output.WriteLine($"drivers gave at most {rows.Max(row => row.DriverBytes - row.Planned.TotalBytes)} bytes more than planned, {rows.Count(row => row.DriverBytes > row.Held.LimitBytes)} times more than allowed, and had up to {rows.Max(row => row.KeptBytes)} of them still after the model was gone");
        return within == count && over == 0 ? 0 : 1;

        (PlanOptions, Plan) Draw(Checkpoint checkpoint)
        {
            Machine machine = Machine.Probe();
            for (int draw = 0; draw < Draws; draw++)
            {
                PlanOptions options = RandomOptions.Next(random, machine, checkpoint.Describe());
                try
                {
                    Plan plan = checkpoint.Plan(machine, options);
                    // Most plans for a machine with GPUs use one.
                    if (machine.Gpus.IsEmpty || plan.Computed.Any(layer => layer.ComputeDevice != DeviceName.Host) || random.Next(8) == 0) return (options, plan);
                }
                catch (DoesNotFitException) { refused++; }
            }
            throw new InvalidOptionException($"{checkpoint.Path}: none of {Draws} random plans fits this machine");
        }
    }

    private static List<Row> Carry(int number, Checkpoint checkpoint, Plan plan, string options)
    {
        long[] before = Free(), during;
        IReadOnlyList<DevicePlan> held;
        using (var allocation = new Allocation(checkpoint, plan))
        {
            allocation.Compute(plan.Computed.Any(layer => layer.ComputeDevice == DeviceName.Host) ? TokensOfCpu : plan.BatchSize);
            held = allocation.Held;
            during = Free();
        }
        long[] after = Free();
        return [.. held.Select(device =>
        {
            int? gpu = DeviceName.GpuIndex(device.Name);
            return new Row(number, Path.GetFileNameWithoutExtension(checkpoint.Path), options, plan.Devices.Single(one => one.Name == device.Name), device, gpu is { } of ? before[of] - during[of] : null, gpu is { } at ? before[at] - after[at] : null);
        })];
    }

    private static long[] Free() => [.. EngineDevices.Gpus().Select(gpu => EngineDevices.Describe(gpu).FreeBytes)];

    private static double Off(long planned, long held) => planned == held ? 0 : 100.0 * (held - planned) / Math.Max(1, planned);

    private static string Describe(Row row)
    {
        IEnumerable<string> kinds = s_kinds.Where(kind => kind.Of(row.Planned) + kind.Of(row.Held) > 0)
            .Select(kind => $"{kind.Name} {kind.Of(row.Held)}" + (kind.Of(row.Held) == kind.Of(row.Planned) ? "" : $" of {kind.Of(row.Planned)} ({Off(kind.Of(row.Planned), kind.Of(row.Held)):+0.000;-0.000} %)"));
        return $"{DeviceName.Label(row.Planned.Name)}: {string.Join(", ", kinds)}; {row.Held.TotalBytes} in all, {row.Planned.TotalBytes} planned{(row.Held.LimitBytes is { } limit ? $", {limit} allowed" : "")}"
            + (row.DriverBytes is { } driver ? $"; the driver gave {driver}, {driver - row.Planned.TotalBytes:+0;-0;0}" : "") + (row.IsWithin ? "" : "; NOT WITHIN") + (row.IsOver ? "; OVER THE LIMIT" : "");
    }

    private static string Columns => $"number,model,options,device,limit,{string.Join(',', s_kinds.SelectMany(kind => (string[])[kind.Name + "_planned", kind.Name + "_held"]))},total_planned,total_held,driver,kept";

    private static string Line(Row row) => string.Join(',', ((object?[])[row.Number, row.Model, $"\"{row.Options}\"", row.Planned.Name, row.Held.LimitBytes,
        .. s_kinds.SelectMany(kind => (object?[])[kind.Of(row.Planned), kind.Of(row.Held)]), row.Planned.TotalBytes, row.Held.TotalBytes, row.DriverBytes, row.KeptBytes]).Select(value => Convert.ToString(value, CultureInfo.InvariantCulture)));
}
