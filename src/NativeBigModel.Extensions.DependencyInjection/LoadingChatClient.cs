using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Options;
using NativeBigModel.Extensions.AI;

namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>The application's chat client: its first call loads the model.</summary>
internal sealed class LoadingChatClient(BigModelProvider provider, IOptions<NativeBigModelOptions> options) : IChatClient
{
    private BigModelChatClient? _client;

    public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        BigModelChatClient client = await Client(cancellationToken).ConfigureAwait(false);
        return await client.GetResponseAsync(messages, options, cancellationToken).ConfigureAwait(false);
    }

    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return Stream(messages, options, cancellationToken);
    }

    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        if (serviceType == typeof(BigModelProvider)) return provider;
        if (serviceType == typeof(ChatClientMetadata)) return new ChatClientMetadata("nativebigmodel", null, options.Value.ModelId ?? Path.GetFileNameWithoutExtension(options.Value.ModelPath));
        return serviceType.IsInstanceOfType(this) ? this : _client?.GetService(serviceType);
    }

    // The provider owns the model.
    public void Dispose() { }

    private async IAsyncEnumerable<ChatResponseUpdate> Stream(IEnumerable<ChatMessage> messages, ChatOptions? options, [EnumeratorCancellation] CancellationToken cancel)
    {
        BigModelChatClient client = await Client(cancel).ConfigureAwait(false);
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(messages, options, cancel).ConfigureAwait(false)) yield return update;
    }

    private async ValueTask<BigModelChatClient> Client(CancellationToken cancel) =>
        _client ??= new(await provider.GetAsync(cancel).ConfigureAwait(false), defaults: options.Value.Defaults, modelId: options.Value.ModelId);
}
