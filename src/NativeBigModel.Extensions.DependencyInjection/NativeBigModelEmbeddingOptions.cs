using NativeBigModel.Planning;

namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>The model that an application makes embeddings with.</summary>
public sealed class NativeBigModelEmbeddingOptions
{
    /// <summary>A Hugging Face folder or a GGUF file; null for the model of AddNativeBigModel, beside its answers.</summary>
    public string? ModelPath { get; set; }

    /// <summary>What to plan for; the default takes everything that is free. Not used where <see cref="ModelPath"/> is null.</summary>
    public PlanOptions Plan { get; set; } = new();

    /// <summary>How the tokens' vectors become one; null for the model's own way.</summary>
    public Pooling? Pooling { get; set; }

    /// <summary>Whether vectors are divided by their lengths, so that the product of two is their cosine.</summary>
    public bool Normalize { get; set; } = true;

    /// <summary>What embeddings say that they come from; null for the checkpoint's name.</summary>
    public string? ModelId { get; set; }

    /// <summary>Told how far the load is, from any thread. Not used where <see cref="ModelPath"/> is null.</summary>
    public IProgress<LoadProgress>? Progress { get; set; }
}
