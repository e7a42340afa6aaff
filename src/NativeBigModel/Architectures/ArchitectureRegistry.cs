using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>The families this version knows. One line registers one.</summary>
internal static class ArchitectureRegistry
{
    public static IReadOnlyList<Architecture> All { get; } =
    [
        new Llama(),
        new Mistral(),
        new Qwen2(),
        new Qwen3(),
    ];

    /// <summary>The family of a config.json.</summary>
    /// <exception cref="UnsupportedModelException">None of <see cref="All"/> reads it.</exception>
    public static Architecture ForHuggingFace(ConfigReader config)
    {
        string name = config.Strings("architectures").FirstOrDefault() ?? throw config.Error("architectures", "is missing, so the kind of model is unknown");
        return All.FirstOrDefault(family => family.HuggingFaceClasses.Contains(name))
            ?? throw new UnsupportedModelException($"config.json: architectures: '{name}' is not supported; this version reads {string.Join(", ", All.SelectMany(family => family.HuggingFaceClasses))}");
    }

    /// <summary>The families whose graph is <paramref name="name"/>; the first one's tensor map covers the graph.</summary>
    public static Architecture? ForGguf(string name) => All.FirstOrDefault(family => family.Name == name);
}
