using System.Diagnostics;
using System.Text.Json;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench;

/// <summary>
/// How long planning takes of models that are too large to have: their configuration and index alone. Everything that <c>nbm plan</c> does is timed inside one process, first
/// with an empty cache and then with what that left there.
/// </summary>
internal static class PlanBench
{
    private sealed record Shape(string Name, string Architecture, int Layers, int Hidden, int FeedForward, int Heads, int KvHeads, int Vocabulary, int Experts = 0, int ExpertsUsed = 0);

    private static readonly Shape[] s_shapes =
    [
        new("Llama-3.1-405B", "LlamaForCausalLM", 126, 16384, 53248, 128, 8, 128256),
        new("256 experts, 60 layers", "MixtralForCausalLM", 60, 7168, 2048, 56, 8, 128000, 256, 8),
    ];

    private static readonly (string Name, PlanOptions Options)[] s_plans =
    [
        ("CPU", new() { MaxMemory = MemoryLimits.Parse("cpu=1000GiB"), ContextLength = 8192 }),
        ("streamed from RAM and disk", new() { MaxMemory = MemoryLimits.Parse("cpu=100GiB"), ContextLength = 8192 }),
        ("chosen for tokens", new() { MaxMemory = MemoryLimits.Parse("0=24GiB,cpu=200GiB"), ContextLength = 8192, Optimize = Objective.Decode }),
    ];

    public static int Run(string[] arguments)
    {
        int rounds = arguments.Length > 0 ? int.Parse(arguments[0]) : 5;
        DirectoryInfo work = Directory.CreateTempSubdirectory("nbm-bench");
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", Path.Combine(work.FullName, "cache"));
        try
        {
            long started = Stopwatch.GetTimestamp();
            Machine machine = Machine.Probe();
            Console.WriteLine($"engine loaded, machine looked at: {Milliseconds(started):0} ms");
            foreach (Shape shape in s_shapes)
            {
                string folder = Path.Combine(work.FullName, shape.Architecture);
                Write(folder, shape);
                foreach ((string name, PlanOptions options) in s_plans)
                {
                    (double Wall, double Cpu)[] times = [.. Enumerable.Range(0, rounds + 1).Select(_ => Time(folder, machine, options))];
                    double Median(Func<(double Wall, double Cpu), double> figure) => times.Skip(1).Select(figure).Order().ElementAt(rounds / 2);
                    Console.WriteLine($"{shape.Name}, {name}: first {times[0].Wall:0} ms, then {Median(time => time.Wall):0} ms, {Median(time => time.Cpu):0} of processors (opened, planned and predicted)");
                }
            }
            return 0;
        }
        finally { work.Delete(recursive: true); }
    }

    private static (double Wall, double Cpu) Time(string folder, Machine machine, PlanOptions options)
    {
        (long started, TimeSpan used) = (Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime);
        Checkpoint.Open(folder).Plan(machine, options);
        return (Milliseconds(started), (Environment.CpuUsage.TotalTime - used).TotalMilliseconds);
    }

    private static double Milliseconds(long since) => Stopwatch.GetElapsedTime(since).TotalMilliseconds;

    private static void Write(string folder, Shape shape)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            architectures = (string[])[shape.Architecture], hidden_act = "silu", hidden_size = shape.Hidden, intermediate_size = shape.FeedForward, max_position_embeddings = 131072,
            num_attention_heads = shape.Heads, num_hidden_layers = shape.Layers, num_key_value_heads = shape.KvHeads, rms_norm_eps = 1e-5, rope_theta = 500000.0, tie_word_embeddings = false,
            torch_dtype = "bfloat16", vocab_size = shape.Vocabulary, num_local_experts = shape.Experts, num_experts_per_tok = shape.ExpertsUsed,
        }));
        var map = Names(shape).Select((name, i) => (name, i)).ToDictionary(entry => entry.name, entry => $"model-{entry.i % 191 + 1:d5}-of-00191.safetensors");
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.Serialize(new { weight_map = map }));
    }

    private static IEnumerable<string> Names(Shape shape)
    {
        string[] attention = ["input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"], dense = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];
        IEnumerable<string> parts = shape.Experts == 0
            ? dense
            : [.. Enumerable.Range(0, shape.Experts).SelectMany(expert => (string[])[$"block_sparse_moe.experts.{expert}.w1", $"block_sparse_moe.experts.{expert}.w2", $"block_sparse_moe.experts.{expert}.w3"]), "block_sparse_moe.gate"];
        return ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", .. Enumerable.Range(0, shape.Layers).SelectMany(layer => attention.Concat(parts).Select(part => $"model.layers.{layer}.{part}.weight"))];
    }
}
