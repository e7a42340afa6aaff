using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Plans with the engine's own buffers.</summary>
public class EnginePlannerTests
{
    // A Llama-2 of 7 B parameters, of which nothing but the shape is needed, and speeds of an H200 beside a Xeon.
    private const string Config = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
         "vocab_size": 32000, "rms_norm_eps": 1e-5, "max_position_embeddings": 4096, "torch_dtype": "float16"}
        """;

    private static readonly MachineSpeeds s_speeds = new()
    {
        Measured = true,
        Gpus =
        [
            new GpuSpeeds("TWIN0", 55.2e9, 54.9e9, new([new(TensorType.F16, 3992e9, 703e12) { StartSeconds = 2e-6, PromptStartSeconds = 14e-6 }], 0.85, 19e-6) { PromptLayerSeconds = 152e-6, PassSeconds = 113e-6, PromptPassSeconds = 2.4e-3 })
            {
                CrossingSeconds = 30e-6,
            },
        ],
        Cpu = new([new(TensorType.F16, 84.1e9, 0.57e12) { StartSeconds = 20e-6 }], 1, 0),
        CpuBesideLink = 0.83,
        LinkBesideCpu = 0.97,
        DiskBytesPerSecond = 2e9,
    };

    [TestGpusFact]
    public Task What_is_chosen_is_no_worse_than_any_fixed_placement_with_the_buffers_that_each_has() => TestGpus.Run(["140000000000"], static () =>
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["config.json"], Config);
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Machine machine = Machine.Probe() with { Speeds = s_speeds };
        foreach (int gib in (int[])[3, 4, 6])
        {
            PlanOptions options = new() { ContextLength = 1024, MaxMemory = MemoryLimits.Parse($"0={gib}GiB,cpu=60GiB") };
            Plan chosen = checkpoint.Plan(machine, options with { Optimize = Objective.Decode });
            Assert.True(chosen.ComputeMeasured);
            Assert.Contains(chosen.Notes, note => note.StartsWith("chosen for decode", StringComparison.Ordinal));
            foreach (OffloadMode mode in Enum.GetValues<OffloadMode>())
            {
                Plan one = checkpoint.Plan(machine, options with { Offload = mode });
                Assert.True(chosen.Predicted!.DecodeSeconds <= one.Predicted!.DecodeSeconds * 1.02, $"{gib} GiB, {mode}: {one.Predicted} and chosen {chosen.Predicted}, {chosen.Notes[^1]}");
            }
        }
        return Task.CompletedTask;
    });
}
