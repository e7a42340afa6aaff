using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tokenizers;

/// <summary>What a checkpoint says of texts, whether or not anything can compute its model: the vocabulary, the rules around it, chat templates.</summary>
/// <param name="templates">The Jinja sources of its chat templates, by name.</param>
/// <param name="chatTokens">What they need of the vocabulary.</param>
/// <param name="preparation">What its tokenizer does around llama.cpp's; null where llama.cpp does it all, or there is no tokenizer.</param>
/// <param name="metadata">A new set of GGUF keys from which llama.cpp loads the vocabulary.</param>
internal sealed class CheckpointText(IReadOnlyDictionary<string, string> templates, Func<ChatTokens> chatTokens, Func<TextPreparation?> preparation, Func<GgufMetadata> metadata)
{
    private readonly Lazy<ChatTokens> _chatTokens = new(chatTokens);
    private readonly Lazy<TextPreparation?> _preparation = new(preparation);

    public IReadOnlyDictionary<string, string> ChatTemplates => templates;

    public ChatTokens ChatTokens => _chatTokens.Value;

    public TextPreparation? Preparation => _preparation.Value;

    /// <summary>Keys for llama.cpp: as they are, or for texts that go through <see cref="Preparation"/> first.</summary>
    public GgufMetadata Metadata(bool preparedText)
    {
        GgufMetadata keys = metadata();
        if (preparedText) Preparation?.Adapt(keys);
        return keys;
    }

    /// <summary>What a vocabulary says; null for none.</summary>
    public static CheckpointText Of(Vocabulary? vocabulary, Func<GgufMetadata> metadata) => vocabulary is null
        ? new(new Dictionary<string, string>(), static () => ChatTokens.None, static () => null, metadata)
        : new(vocabulary.ChatTemplates, () => new(vocabulary.NamedTokens, vocabulary.Tokens, vocabulary.Kinds),
            () => new(TokenizerFiles.TokenizerJson, vocabulary.Tokens, vocabulary.Kinds, vocabulary.Text, PreTokenizers.Find(vocabulary.PreTokenizer),
                UnigramPath.For(vocabulary.Model, vocabulary.Tokens, vocabulary.Kinds, vocabulary.Scores)), metadata);
}
