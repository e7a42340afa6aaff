using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>DeepSeek V2: experts chosen by softmax.</summary>
internal sealed class DeepSeekV2 : DeepSeek
{
    private const uint Softmax = 1; // llama-hparams.h, llama_expert_gating_func_type

    public override IReadOnlyList<string> HuggingFaceClasses => ["DeepseekV2ForCausalLM"];

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if ((config.OptionalString("topk_method") ?? "greedy") != "greedy" && (config.OptionalInt("n_group") ?? 1) > 1)
            throw new UnsupportedModelException($"config.json: topk_method: '{config.OptionalString("topk_method")}' ranks groups by their best expert, and llama.cpp's deepseek2 graph by the best two");
        if (config.OptionalBool("norm_topk_prob") ?? false) throw new UnsupportedModelException("config.json: norm_topk_prob: true is read differently by the model's own code and by transformers");
        return Read(config, modelName, (Experts: 64, Used: 6, QueryRank: 1536, Dense: 0, Scale: 1)).With("expert_gating_func", Softmax);
    }
}
