using System.Globalization;
using NativeBigModel;
using NativeBigModel.Bench;
using NativeBigModel.Bench.Contests;
using NativeBigModel.Bench.Memory;
using NativeBigModel.Bench.Models;
using NativeBigModel.Bench.Plots;
using NativeBigModel.Bench.Results;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
using var cancel = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;
    cancel.Cancel();
};
try
{
    return args switch
    {
        ["contest", .. var rest] => await Contest.RunAsync(rest, cancel.Token),
        ["compare", var before, var after, .. var rest] => Compare(before, after, new Arguments(rest).Only("--tolerance")),
        ["plot", var csv, var svg, .. var rest] => Draw(csv, svg, new Arguments(rest).Only("--figure", "--model")),
        ["convert", .. var rest] => ConvertBench.Run(rest),
        ["load", .. var rest] => LoadBench.Run(rest),
        ["plan", .. var rest] => PlanBench.Run(rest),
        ["bytes", .. var rest] => BytesBench.Run(rest, Console.Out),
        ["speculate", var path, .. var rest] => await SpeculationBench.RunAsync(path, rest, Console.Out, cancel.Token),
        ["stock", var path, .. var rest] => await StockRun.RunAsync(path, rest),
        ["make", var folder, var gigabytes] => Make(folder, double.Parse(gigabytes)),
        ["model", var name, var path] => await ModelAsync(SyntheticModel.Named(name), path),
        // What the benchmarks above run in processes of their own, to see each one's peak memory.
        ["step", .. var rest] => await Step.RunAsync(rest),
        ["speeds", var folder] => await Contest.MeasureAsync(folder, cancel.Token),
        _ => Usage(),
    };
}
catch (Exception error) when (error is BigModelException or InvalidDataException or IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"error: {error.Message}");
    return 2;
}
catch (OperationCanceledException) { return 130; }

static int Compare(string before, string after, Arguments options)
{
    double tolerance = double.Parse(options.Text("--tolerance", "0.05"));
    return Comparison.Print(Comparison.Of(ResultFile.Read(before), ResultFile.Read(after), tolerance), tolerance, Console.Out);
}

static int Draw(string csv, string svg, Arguments options)
{
    string name = options.Text("--figure", Figure.Token.Name);
    Figure figure = Figure.All.FirstOrDefault(one => one.Name == name) ?? throw new InvalidOptionException($"--figure: '{name}' is none of {string.Join(", ", Figure.All.Select(one => one.Name))}");
    string partial = svg + ".partial";
    Plot.Draw(ResultFile.Read(csv), options.Has("--model") ? options.Text("--model", "") : null, figure).Save(partial);
    File.Move(partial, svg, overwrite: true);
    return 0;
}

static async Task<int> ModelAsync(SyntheticModel model, string path)
{
    if (path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)) model.WriteGguf(path);
    else
    {
        string file = path.TrimEnd('/') + ".gguf.partial";
        try
        {
            model.WriteGguf(file);
            await FolderConverter.ConvertAsync(Checkpoint.Open(file), path);
        }
        finally { File.Delete(file); }
    }
    return 0;
}

static int Make(string folder, double gigabytes)
{
    SyntheticCheckpoint.Make(folder, gigabytes);
    return 0;
}

static int Usage()
{
    Console.Error.WriteLine($"""
        usage: nbm-bench {Contest.Usage}
                   this library against all others on this machine, in turn, on models made on the spot
               nbm-bench compare OLD.csv NEW.csv [--tolerance 0.05]
                   what moved; exit code 1 where something is slower by more than the tolerance and the spread
               nbm-bench plot FILE.csv OUT.svg [--figure token|prompt|load|convert] [--model NAME]
               nbm-bench {ConvertBench.Usage}
                   one-pass conversion against llama.cpp's two steps, beside quantiser and disk alone
               nbm-bench load [GIGABYTES] [ROUNDS]
                   loading a folder as it is and quantised
               nbm-bench plan [ROUNDS]
                   planning models of 405 B parameters and of 256 experts, first and again
               nbm-bench {BytesBench.Usage}
                   random plans carried out: bytes held against bytes planned, by device and kind; exit code 1 where they differ or a limit is passed
               nbm-bench {SpeculationBench.Usage}
                   an answer without guesses, with lookup and with draft models; exit code 1 where they differ
               nbm-bench stock FILE.gguf [--ngl N | --fit BYTES] [--experts-on-cpu] [--prompt 512,2048] [--tokens N] [--rounds N] [--context N] [--threads N] [--ubatch N]
                   stock llama.cpp, memory-mapped; --fit has it choose what lies on a GPU of so many bytes
               nbm-bench model NAME FILE.gguf|FOLDER, nbm-bench make FOLDER GIGABYTES
                   random weights: of a shape that contests know ({string.Join(", ", SyntheticModel.Known.Select(model => model.Name))}; those in F16 also say
                   1, 2, 3 and so on with -counting after the name, or with errors, -counting-errs), or a sharded BF16 folder of any size
        """);
    return 2;
}
