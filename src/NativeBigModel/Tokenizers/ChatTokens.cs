using NativeBigModel.Chat;

namespace NativeBigModel.Tokenizers;

/// <summary>What chat templates need of a vocabulary.</summary>
internal sealed class ChatTokens
{
    private readonly Lazy<Spellings> _spellings;

    /// <param name="named">Spellings by name, such as bos_token.</param>
    /// <param name="tokens">Token texts by id.</param>
    /// <param name="kinds">One per token.</param>
    public ChatTokens(IReadOnlyDictionary<string, string> named, string[] tokens, TokenKind[] kinds)
    {
        Named = named;
        _spellings = new(() => new(tokens.Where((_, id) => kinds[id] is TokenKind.Control or TokenKind.Unknown)));
    }

    public static ChatTokens None { get; } = new(new Dictionary<string, string>(), [], []);

    public IReadOnlyDictionary<string, string> Named { get; }

    /// <summary>Of the tokens that no message may bring about.</summary>
    public Spellings Spellings => _spellings.Value;
}
