using Microsoft.Extensions.AI;
using NativeBigModel.Chat;

namespace NativeBigModel.Extensions.AI;

/// <summary>A loaded model as the services of Microsoft.Extensions.AI.</summary>
public static class BigModelExtensions
{
    /// <summary>A chat client on this model. It does not own the model: dispose of that after the client's last call.</summary>
    /// <param name="model">The model.</param>
    /// <param name="template">The chat template; null for the checkpoint's.</param>
    /// <param name="defaults">How to generate where a call says nothing; null for the model's defaults and as many tokens as the context holds.</param>
    /// <param name="modelId">What answers say that they come from; null for the checkpoint's name.</param>
    /// <exception cref="UnsupportedModelException">The checkpoint has no chat template, and none is given.</exception>
    public static IChatClient AsIChatClient(this BigModel model, ChatTemplate? template = null, GenerateOptions? defaults = null, string? modelId = null) =>
        new BigModelChatClient(model, template, defaults, modelId);

    /// <summary>A chat client for one conversation. It does not own the session: dispose of that after the client's last call.</summary>
    /// <inheritdoc cref="BigModelChatClient(ModelSession, ChatTemplate?, GenerateOptions?, string?)"/>
    public static IChatClient AsIChatClient(this ModelSession session, ChatTemplate? template = null, GenerateOptions? defaults = null, string? modelId = null) =>
        new BigModelChatClient(session, template, defaults, modelId);

    /// <summary>An embedding generator on this model. It does not own the model: dispose of that after the generator's last call.</summary>
    /// <inheritdoc cref="BigModelEmbeddingGenerator(EmbeddingModel, Pooling?, bool, string?, bool)"/>
    public static IEmbeddingGenerator<string, Embedding<float>> AsIEmbeddingGenerator(this EmbeddingModel model, Pooling? pooling = null, bool normalize = true, string? modelId = null) =>
        new BigModelEmbeddingGenerator(model, pooling, normalize, modelId);

    /// <summary>An embedding generator on this model, beside its answers. It does not own the model: dispose of that after the generator's last call.</summary>
    /// <inheritdoc cref="BigModelEmbeddingGenerator(BigModel, Pooling?, bool, string?, bool)"/>
    public static IEmbeddingGenerator<string, Embedding<float>> AsIEmbeddingGenerator(this BigModel model, Pooling? pooling = null, bool normalize = true, string? modelId = null) =>
        new BigModelEmbeddingGenerator(model, pooling, normalize, modelId);
}
