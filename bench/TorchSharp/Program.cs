using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NativeBigModel.Bench.Torch;
using TorchSharp;

// Prints what `nbm bench --json` prints.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args.Length == 0)
{
    Console.Error.WriteLine("usage: torchsharp-layers FOLDER [--pinned] [--prompt N] [--tokens N] [--rounds N] [--device cuda|cpu] [--ids]");
    return 2;
}
int Number(string name, int otherwise) => Array.IndexOf(args, name) is >= 0 and var at ? int.Parse(args[at + 1]) : otherwise;
(int prompt, int tokens, int rounds) = (Number("--prompt", 512), Number("--tokens", 5), Number("--rounds", 1));
torch.Device device = torch.device(Array.IndexOf(args, "--device") is >= 0 and var at ? args[at + 1] : "cuda");
bool gpu = device.type == DeviceType.CUDA;
long started = Stopwatch.GetTimestamp();
var model = new LayeredLlama(args[0], device, args.Contains("--pinned"));
double load = Stopwatch.GetElapsedTime(started).TotalSeconds;
List<long> ids = [];
Measure(8, 2); // the first call's costs are nobody's
object[] measured = [.. Enumerable.Range(0, rounds).Select(_ => Measure(prompt, tokens))];
Console.WriteLine(args.Contains("--ids") ? JsonSerializer.Serialize(new { ids }) : JsonSerializer.Serialize(new { load_s = load, rounds = measured }));
return 0;

object Measure(int length, int count)
{
    model.Clear();
    ids.Clear();
    started = Stopwatch.GetTimestamp();
    long token = model.Next([.. Enumerable.Range(0, length).Select(i => i * 7919L % model.Vocabulary)]);
    ids.Add(token);
    double prefill = Elapsed();
    started = Stopwatch.GetTimestamp();
    for (int i = 1; i < count; i++)
    {
        token = model.Next([token]);
        ids.Add(token);
    }
    return new { prompt = length, prefill_s = prefill, decode_s_per_token = Elapsed() / (count - 1), streamed_bytes_per_token = 0 };
}

double Elapsed()
{
    if (gpu) torch.cuda.synchronize();
    return Stopwatch.GetElapsedTime(started).TotalSeconds;
}
