using System.Text.Json;
using NativeBigModel.Bench.Models;
using NativeBigModel.Bench.Results;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench.Contests;

/// <summary>The command that compares this library with all others on this machine, and writes down what a reader needs in order not to take its word.</summary>
internal static class Contest
{
    public const string Usage = "contest [--models NAME,...] [--budgets GIB,...] [--ram GIB] [--contenders NAME,...] [--prompt N] [--tokens N] [--rounds N] [--csv FILE] [--work DIR] [--timeout SECONDS] [--keep]";

    public static async Task<int> RunAsync(string[] arguments, CancellationToken cancel)
    {
        Arguments options = new Arguments(arguments).Only("--models", "--budgets", "--ram", "--contenders", "--prompt", "--tokens", "--rounds", "--csv", "--work", "--timeout", "--keep");
        string work = options.Text("--work", Path.Combine(Path.GetTempPath(), "nbm-contest"));
        Directory.CreateDirectory(work);
        TimeSpan patience = TimeSpan.FromSeconds(options.Number("--timeout", 300));
        MachineSpeeds speeds = await SpeedsAsync(work, patience, cancel);
        bool gpu = !speeds.Gpus.IsEmpty;
        SyntheticModel[] models = [.. options.List("--models", gpu ? "7b-f16" : "1b-q8_0").Select(SyntheticModel.Named)];
        long[] budgets = [.. options.List("--budgets", gpu ? "4,8,16,24" : "0.75,2").Select(text => ByteSize.Parse(text + "GiB"))];
        long? ram = options.Has("--ram") ? ByteSize.Parse(options.Text("--ram", "") + "GiB") : null;
        if (ram is not null && !gpu) throw new InvalidOptionException("--ram: without a GPU, budgets are of RAM");
        if (ram <= Case.Overhead) throw new InvalidOptionException($"--ram: {ByteSize.Format(ram.Value)}, of which a process takes {ByteSize.Format(Case.Overhead)} beside weights");
        IReadOnlyList<Contender> contenders = options.Has("--contenders") ? Contenders.Named(options.List("--contenders", "")) : Contenders.All;
        List<string> head = [.. MachineHead.Describe("contest", arguments), .. MachineHead.Describe("before", speeds)];
        foreach (string line in head) Console.WriteLine(line);
        List<Contender> present = [];
        foreach (Contender contender in contenders)
        {
            if (!models.Any(model => contender.Takes(new(model, budgets[0], gpu, 1, 1, work)))) continue;
            if (contender.Absent is null) present.Add(contender);
            else Note(head, $"absent: {contender.Name}: {contender.Absent}");
        }
        if ((gpu ? ram : budgets[0]) is { } held)
        {
            using MemoryCage? cage = MemoryCage.Make(held, out string reason);
            if (cage is null) throw new InvalidOptionException($"{(gpu ? "--ram holds contenders to so much" : "without a GPU, budgets are of RAM")}, and {reason}");
        }
        string? csv = options.Has("--csv") ? options.Text("--csv", "") : null;
        List<Measurement> rows = [];
        var store = new ModelStore(work);
        foreach (SyntheticModel model in models)
        {
            Case[] cases = [.. budgets.Select(budget => new Case(model, budget, gpu, options.Number("--prompt", gpu ? 512 : 64), options.Number("--tokens", 9), work, ram))];
            Console.WriteLine($"{model.Name}: {ByteSize.Format(model.WeightBytes)} of weights");
            var runner = new ContestRunner(
                async (contender, one, stop) =>
                {
                    string path = contender.ReadsFolder ? await store.FolderAsync(model) : store.Gguf(model);
                    return await RunAsync(contender.Command(one, path), one, path, patience, stop);
                },
                row =>
                {
                    rows.Add(row);
                    Console.WriteLine(Summary.Line(row));
                    if (csv is not null) new ResultFile(head, rows).Write(csv);
                });
            await runner.RunAsync(cases, present, options.Number("--rounds", 3), cancel);
            if (!options.Has("--keep")) store.Remove(model);
        }
        // A machine that others use is not the same before and after: a bound takes the better.
        MachineSpeeds after = await SpeedsAsync(work, patience, cancel);
        foreach (string line in MachineHead.Describe("after", after)) Note(head, line);
        foreach (SyntheticModel model in models)
        {
            Bandwidths machine = Bandwidths.Of(speeds, model.MainType).Or(Bandwidths.Of(after, model.MainType));
            rows = [.. rows.Select(row => row.Model == model.Name ? WithBounds(row, ModelBytes.Of(model), machine, ram) : row)];
        }
        if (csv is not null) new ResultFile(head, rows).Write(csv);
        Console.WriteLine();
        Summary.Print(rows, Console.Out);
        return 0;
    }

    private static Measurement WithBounds(Measurement row, ModelBytes bytes, Bandwidths machine, long? ram) => row.BudgetBytes == 0 ? row : row with
    {
        BoundTokenSeconds = Bounds.Token(bytes, row.BudgetBytes, machine, ram),
        BoundPromptSeconds = row.PromptTokens is { } tokens ? Bounds.Prompt(bytes, row.BudgetBytes, tokens, machine, ram) : null,
    };

    private static void Note(List<string> head, string line)
    {
        head.Add(line);
        Console.WriteLine(line);
    }

    private static async Task<ChildResult> RunAsync(IReadOnlyList<string> command, Case one, string path, TimeSpan patience, CancellationToken cancel)
    {
        if (one.CageBytes is not { } held) return await Child.RunAsync(command, patience, one.OnGpu, cancel);
        MemoryCage.Forget(path);
        using MemoryCage? cage = MemoryCage.Make(held, out string reason);
        return cage is null ? new(null, reason, null, null) : await Child.RunAsync(cage.Around(command), patience, one.OnGpu, cancel);
    }

    // In a process of its own, because what holds a GPU's context holds some of its memory.
    private static async Task<MachineSpeeds> SpeedsAsync(string work, TimeSpan patience, CancellationToken cancel)
    {
        ChildResult child = await Child.RunAsync([.. Programs.This, "speeds", work], patience, gpu: false, cancel);
        return child.Result?.Deserialize<MachineSpeeds>() ?? throw new EngineException($"the machine could not be measured: {child.Failure}");
    }

    /// <summary>Measures this machine as `nbm doctor --calibrate` does, and prints the speeds.</summary>
    public static async Task<int> MeasureAsync(string folder, CancellationToken cancel)
    {
        Console.WriteLine(JsonSerializer.Serialize(await MachineCalibration.MeasureAsync(folder, null, cancel)));
        return 0;
    }
}
