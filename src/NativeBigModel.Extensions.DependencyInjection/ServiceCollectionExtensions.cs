using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection.Extensions;
using NativeBigModel.Extensions.DependencyInjection;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers models, and the services of Microsoft.Extensions.AI on them.</summary>
public static class NativeBigModelServiceCollectionExtensions
{
    /// <summary>
    /// Adds <see cref="BigModelProvider"/>, which loads the model when it is first asked for, and an <see cref="IChatClient"/> on it. Both are singletons; the container
    /// gives the model back when it is disposed of. The application's logging is used where there is one.
    /// </summary>
    /// <param name="services">Where to add them.</param>
    /// <param name="configure">Says which model, at least.</param>
    /// <exception cref="Options.OptionsValidationException">When the services are first used: no model is named.</exception>
    public static IServiceCollection AddNativeBigModel(this IServiceCollection services, Action<NativeBigModelOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        services.AddOptions<NativeBigModelOptions>().Configure(configure).Validate(options => !string.IsNullOrEmpty(options.ModelPath), $"{nameof(NativeBigModelOptions.ModelPath)}: names no folder or file");
        services.TryAddSingleton<BigModelProvider>();
        services.TryAddSingleton<IChatClient, LoadingChatClient>();
        return services;
    }

    /// <summary>
    /// Adds an <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> of texts, a singleton: on a model of its own, which the first call loads and the container gives back, or on that of
    /// <see cref="AddNativeBigModel"/>.
    /// </summary>
    /// <param name="services">Where to add it.</param>
    /// <param name="configure">Says which model; null for that of <see cref="AddNativeBigModel"/>.</param>
    /// <exception cref="Options.OptionsValidationException">When it is first used: there is no model.</exception>
    public static IServiceCollection AddNativeBigModelEmbeddings(this IServiceCollection services, Action<NativeBigModelEmbeddingOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions<NativeBigModelEmbeddingOptions>().Configure(configure ?? (static _ => { }));
        services.TryAddSingleton<IEmbeddingGenerator<string, Embedding<float>>, LoadingEmbeddingGenerator>();
        return services;
    }
}
