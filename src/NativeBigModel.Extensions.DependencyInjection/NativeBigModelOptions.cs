using NativeBigModel.Planning;

namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>The model that an application uses.</summary>
public sealed class NativeBigModelOptions
{
    /// <summary>A Hugging Face folder or a GGUF file.</summary>
    public string ModelPath { get; set; } = "";

    /// <summary>What to plan for; the default takes everything that is free.</summary>
    public PlanOptions Plan { get; set; } = new();

    /// <summary>How to generate where a call says nothing; null for the model's defaults and as many tokens as the context holds.</summary>
    public GenerateOptions? Defaults { get; set; }

    /// <summary>What answers say that they come from; null for the checkpoint's name.</summary>
    public string? ModelId { get; set; }

    /// <summary>Told how far the load is, from any thread.</summary>
    public IProgress<LoadProgress>? Progress { get; set; }

    /// <summary>Whether the native engine's lines go to the application's log, under the category <c>NativeBigModel.Engine</c>.</summary>
    public bool LogEngine { get; set; } = true;
}
