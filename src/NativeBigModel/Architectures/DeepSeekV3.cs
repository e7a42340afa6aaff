using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>DeepSeek V3 and R1: experts chosen by sigmoid, with a correction that only the choice sees, first by group.</summary>
internal sealed class DeepSeekV3 : DeepSeek
{
    private const uint Sigmoid = 2; // llama-hparams.h, llama_expert_gating_func_type

    public override IReadOnlyList<string> HuggingFaceClasses => ["DeepseekV3ForCausalLM"];

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        ArchitectureReading reading = Read(config, modelName, (Experts: 256, Used: 8, QueryRank: 1536, Dense: 3, Scale: 2.5f))
            .With("expert_gating_func", Sigmoid).With("expert_weights_norm", config.OptionalBool("norm_topk_prob") ?? true);
        int experts = reading.Shape.ExpertCount, groups = config.OptionalInt("n_group", 1, experts) ?? 8;
        if (experts % groups != 0 || (groups > 1 && experts / groups < 2)) throw config.Error("n_group", $"is {groups}, and must divide {experts} experts into groups of 2 or more");
        int used = config.OptionalInt("topk_group", 1, groups) ?? Math.Min(groups, 4);
        return used == groups ? reading : reading.With("expert_group_count", (uint)groups).With("expert_group_used_count", (uint)used);
    }
}
