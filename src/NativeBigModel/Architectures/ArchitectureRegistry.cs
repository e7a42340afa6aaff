using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>The families this version knows. One line registers one.</summary>
internal static class ArchitectureRegistry
{
    public static IReadOnlyList<Architecture> All { get; } =
    [
        new Llama(),
        new Mistral(),
        new Mixtral(),
        new Qwen2(),
        new Qwen2Moe(),
        new Qwen3(),
        new Qwen3Moe(),
        new Gemma(),
        new Gemma2(),
        new Gemma3(),
        new Phi(),
        new GptJ(),
        new CodeGen(),
        new Gpt2(),
        new GptNeoX(),
        new Falcon(),
        new Bloom(),
        new StableLm(),
        new Starcoder2(),
        new Olmo(),
        new Olmo2(),
        new Cohere(),
        new Granite(),
        new Glm(),
        new Glm4(),
        new DeepSeekV2(),
        new DeepSeekV3(),
        new GptOss(),
        new Mamba(),
        new Phi3(),
        new SmolLm3(),
        new Exaone4(),
        new Nemotron(),
        new SeedOss(),
        new Ernie45(),
        new Mpt(),
        new Opt(),
        new InternLm2(),
        new WindowedLlama(),
        new SlopedLlama(),
        new Baichuan(),
        new ChatGlm(),
        new Qwen(),
        new T5(),
        new Bert(),
    ];

    /// <summary>The family of a config.json.</summary>
    /// <exception cref="UnsupportedModelException">None of <see cref="All"/> reads it.</exception>
    public static Architecture ForHuggingFace(ConfigReader config)
    {
        string name = config.Strings("architectures").FirstOrDefault() ?? throw config.Error("architectures", "is missing, so the kind of model is unknown");
        return All.FirstOrDefault(family => family.HuggingFaceClasses.Contains(name))?.For(config)
            ?? throw new UnsupportedModelException($"config.json: architectures: '{name}' is not supported; this version reads {string.Join(", ", All.SelectMany(family => family.HuggingFaceClasses).Concat(TextPart.HuggingFaceClasses))}");
    }

    /// <summary>The first family whose graph is <paramref name="name"/>: what it says of the graph holds for all.</summary>
    public static Architecture? ForGguf(string name) => All.FirstOrDefault(family => family.Name == name);
}
