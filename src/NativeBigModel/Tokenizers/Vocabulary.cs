using System.Collections.Immutable;
using NativeBigModel.Chat;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tokenizers;

/// <summary>GGUF's token types (llama.h, enum llama_token_type).</summary>
internal enum TokenKind { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 }

/// <summary>
/// A tokenizer in the terms of GGUF's <c>tokenizer.ggml.*</c> keys: what a Hugging Face tokenizer is translated into, and all that llama.cpp needs.
/// </summary>
/// <param name="Model">llama.cpp's tokenizer: "llama" (SentencePiece BPE with byte fallback), "gpt2" (byte-level BPE), "t5" (Unigram) or "bert" (WordPiece).</param>
/// <param name="PreTokenizer">llama.cpp's name for the splitting rules; null where the tokenizer has none.</param>
/// <param name="Tokens">Token texts, by id; exactly the model's vocabulary size.</param>
/// <param name="Kinds">One per token.</param>
/// <param name="Scores">One per token for "llama" and "t5", else null.</param>
/// <param name="Merges">Merge rules "left right" in rank order for "gpt2", else null.</param>
internal sealed record Vocabulary(string Model, string? PreTokenizer, string[] Tokens, TokenKind[] Kinds, float[]? Scores, string[]? Merges)
{
    public int? BosId { get; init; }
    public int? EosId { get; init; }
    public int? UnknownId { get; init; }
    public int? PaddingId { get; init; }

    /// <summary>Whether encoding a text with special tokens begins with BOS and nothing else.</summary>
    public bool AddBos { get; init; }

    /// <summary>Whether encoding a text with special tokens ends with EOS and nothing else.</summary>
    public bool AddEos { get; init; }

    /// <summary>Whether "llama" and "t5" put a space before the text.</summary>
    public bool AddSpacePrefix { get; init; }

    /// <summary>Whether "t5" leaves one space of several.</summary>
    public bool RemoveExtraWhitespaces { get; init; }

    /// <summary>What "t5" replaces characters by; see <see cref="PrecompiledMap"/>.</summary>
    public byte[]? CharacterMap { get; init; }

    /// <summary>Whether "bert" looks words up in lower case.</summary>
    public bool LowerCase { get; init; }

    /// <summary>Whether "bert" looks words up without accents.</summary>
    public bool StripAccents { get; init; }

    /// <summary>What the tokenizer does before and after its model, in full; the keys above are llama.cpp's nearest.</summary>
    public TextRules Text { get; init; } = new();

    /// <summary>The Jinja chat templates, verbatim, by name.</summary>
    public IReadOnlyDictionary<string, string> ChatTemplates { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>The spellings of bos_token and the like, which chat templates use.</summary>
    public IReadOnlyDictionary<string, string> NamedTokens { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Writes the <c>tokenizer.*</c> keys.</summary>
    public void WriteTo(GgufMetadata metadata)
    {
        metadata["tokenizer.ggml.model"] = Model;
        if (PreTokenizer is not null) metadata["tokenizer.ggml.pre"] = PreTokenizer;
        metadata["tokenizer.ggml.tokens"] = Tokens;
        if (Scores is not null) metadata["tokenizer.ggml.scores"] = Scores;
        metadata["tokenizer.ggml.token_type"] = Array.ConvertAll(Kinds, kind => (int)kind);
        if (Merges is not null) metadata["tokenizer.ggml.merges"] = Merges;
        metadata.SetIfKnown("tokenizer.ggml.bos_token_id", (uint?)BosId);
        metadata.SetIfKnown("tokenizer.ggml.eos_token_id", (uint?)(EosId ?? NeverInText));
        metadata.SetIfKnown("tokenizer.ggml.unknown_token_id", (uint?)UnknownId);
        metadata.SetIfKnown("tokenizer.ggml.padding_token_id", (uint?)PaddingId);
        metadata["tokenizer.ggml.add_bos_token"] = AddBos;
        metadata["tokenizer.ggml.add_eos_token"] = AddEos;
        metadata["tokenizer.ggml.add_space_prefix"] = AddSpacePrefix;
        if (Model is "t5") WriteUnigram(metadata);
        if (Model is "bert") WriteWordPiece(metadata);
        WriteChatTemplates(metadata);
        Text.WriteTo(metadata);
    }

    private void WriteChatTemplates(GgufMetadata metadata)
    {
        foreach ((string name, string template) in ChatTemplates)
        {
            metadata[name is ChatTemplate.DefaultName ? GgufVocabulary.ChatTemplateKey : $"{GgufVocabulary.ChatTemplateKey}.{name}"] = template;
        }
        string[] named = [.. ChatTemplates.Keys.Where(name => name is not ChatTemplate.DefaultName)];
        if (named.Length > 0) metadata["tokenizer.chat_templates"] = named;
    }

    private void WriteUnigram(GgufMetadata metadata)
    {
        metadata["tokenizer.ggml.remove_extra_whitespaces"] = RemoveExtraWhitespaces;
        if (CharacterMap is not null) metadata["tokenizer.ggml.precompiled_charsmap"] = CharacterMap;
    }

    // llama.cpp puts BOS and SEP around a text, whatever else is said.
    private void WriteWordPiece(GgufMetadata metadata)
    {
        metadata["tokenizer.ggml.normalizer.lowercase"] = LowerCase;
        metadata["tokenizer.ggml.normalizer.strip_accents"] = StripAccents;
        if (Text is not { Leading: [var first], Trailing: [var last] }) return;
        metadata["tokenizer.ggml.bos_token_id"] = (uint)first;
        metadata["tokenizer.ggml.seperator_token_id"] = (uint)last;
        metadata["tokenizer.ggml.add_bos_token"] = true;
    }

    /// <summary>
    /// The token of byte 0xFF, which no UTF-8 text holds. It stands in for a missing EOS: without the key llama.cpp would stop generating at token 2 or 11,
    /// and there is no spelling of "none". The BOS that llama.cpp assumes in the same way, 1 or 11, has no effect while <see cref="AddBos"/> is false.
    /// </summary>
    public int? NeverInText => Array.IndexOf(Tokens, Model is "gpt2" && PreTokenizer is not TextPreparation.Lines ? ByteAlphabet.OfByte(0xFF).ToString() : "<0xFF>") is >= 0 and var id ? id : null;
}
