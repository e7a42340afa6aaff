using System.Text;
using NativeBigModel.Chat;
using NativeBigModel.Checkpoints.HuggingFace;
using NativeBigModel.Native;
using NativeBigModel.Runtime;
using NativeBigModel.Tokenizers;

namespace NativeBigModel;

/// <summary>Text to token ids and back, by llama.cpp's tokenizer over the checkpoint's vocabulary. Thread-safe.</summary>
public sealed unsafe class Tokenizer : IDisposable
{
    private readonly EngineModel _model;
    private readonly LlamaVocab* _vocab;
    private readonly TextPreparation? _preparation;
    private readonly Spellings _special;
    private readonly bool _ownsModel;
    private readonly Lazy<EngineModel?> _bytes;

    internal Tokenizer(EngineModel model, CheckpointText text, bool ownsModel)
    {
        (_model, Text, _preparation, _special, _ownsModel) = (model, text, text.Preparation, text.ChatTokens.Spellings, ownsModel);
        _bytes = new(() => text.Preparation is null ? null : EngineModel.LoadVocabulary(text.Metadata(preparedText: false)));
        _vocab = LlamaModelApi.LlamaModelGetVocab(model.Handle);
        TokenCount = LlamaVocabApi.LlamaVocabNTokens(_vocab);
        HasText = LlamaVocabApi.LlamaVocabType(_vocab) != LlamaVocabType.None;
    }

    /// <summary>Size of the vocabulary.</summary>
    public int TokenCount { get; }

    /// <summary>Whether the checkpoint has a tokenizer at all; without one, only ids go in and out.</summary>
    public bool HasText { get; }

    /// <summary>
    /// A vocabulary in which each token has its own bytes, as grammars need it: where texts are prepared, the engine's has them spelt. It lives as long as the tokenizer.
    /// </summary>
    internal LlamaVocab* ByteVocabulary => _bytes.Value is { } other ? LlamaModelApi.LlamaModelGetVocab(other.Handle) : _vocab;

    /// <summary>Opens a checkpoint's tokenizer without its weights.</summary>
    /// <exception cref="EngineException">The engine is missing or refuses the vocabulary.</exception>
    public static Tokenizer Open(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return Open(checkpoint.Text);
    }

    /// <summary>Opens the tokenizer of a Hugging Face folder or a GGUF file: of a folder even where no graph computes its model.</summary>
    /// <param name="path">The folder or file.</param>
    /// <exception cref="CheckpointException">There is no checkpoint at <paramref name="path"/>, or it is malformed.</exception>
    /// <exception cref="UnsupportedModelException">llama.cpp cannot tokenize as it asks, or it is a file with a graph that is not known.</exception>
    /// <exception cref="EngineException">The engine is missing or refuses the vocabulary.</exception>
    public static Tokenizer Open(string path)
    {
        Checkpoint checkpoint;
        try { checkpoint = Checkpoint.Open(path); }
        catch (UnsupportedModelException) when (Directory.Exists(path)) { return Open(HuggingFaceCheckpoint.ReadText(Path.GetFullPath(path))); }
        return Open(checkpoint);
    }

    private static Tokenizer Open(CheckpointText text) => new(EngineModel.LoadVocabulary(text.Metadata(preparedText: true)), text, ownsModel: true);

    /// <inheritdoc cref="Checkpoint.ChatTemplates"/>
    public IReadOnlyDictionary<string, string> ChatTemplates => Text.ChatTemplates;

    /// <summary>What the checkpoint says of texts.</summary>
    internal CheckpointText Text { get; }

    /// <summary>The ids of a text.</summary>
    /// <param name="text">Any text; the spelling of a special token is read as that token.</param>
    /// <param name="addSpecial">Whether to add the tokens that the model's own rules put around a text, such as BOS.</param>
    public int[] Encode(string text, bool addSpecial = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Encode(text, addSpecial, []);
    }

    /// <summary>The ids of a rendered conversation. Special tokens are those that the template wrote; nothing is added, and what was said becomes none.</summary>
    public int[] Encode(ChatPrompt prompt)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return Encode(prompt.Text, addSpecial: false, prompt.Literal);
    }

    private int[] Encode(string text, bool addSpecial, IReadOnlyList<(int Begin, int End)> literal)
    {
        RequireText();
        if (_preparation is null) return EncodeByEngine(text, addSpecial, new(literal));
        using var lease = new HandleLease(_model.Handle);
        TextRules rules = _preparation.Rules;
        List<int> ids = [];
        if (addSpecial) ids.AddRange(rules.EngineSurrounds ? EngineLeading() : rules.Leading);
        foreach (TextPiece piece in _preparation.Split(text, literal))
        {
            if (piece.Token is { } token) ids.Add(token);
            else ids.AddRange(Tokenize(piece.Text, addSpecial: false, parseSpecial: false));
        }
        if (addSpecial) ids.AddRange(rules.EngineSurrounds ? EngineTrailing() : rules.Trailing);
        return [.. ids];
    }

    /// <summary>The text of ids.</summary>
    /// <param name="tokens">The ids.</param>
    /// <param name="skipSpecial">Whether to leave special tokens out.</param>
    /// <exception cref="InvalidOptionException">An id is outside the vocabulary.</exception>
    public string Decode(IReadOnlyList<int> tokens, bool skipSpecial = false)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        RequireText();
        RequireKnown(tokens);
        if (_preparation is null) return Detokenize([.. tokens], skipSpecial);
        IEnumerable<int> shown = skipSpecial ? tokens.Where(token => !_preparation.IsSpecial(token)) : tokens;
        return _preparation.Join(shown.Select(token => (token, Piece(token, special: true))));
    }

    /// <summary>Whether generation ends with this token.</summary>
    /// <exception cref="InvalidOptionException">The id is outside the vocabulary.</exception>
    public bool IsEndOfGeneration(int token)
    {
        RequireKnown([token]);
        using var lease = new HandleLease(_model.Handle);
        return LlamaVocabApi.LlamaVocabIsEog(_vocab, token);
    }

    /// <summary>The bytes that a token adds to a text, which may be part of a character; none for special tokens.</summary>
    /// <exception cref="InvalidOptionException">The id is outside the vocabulary.</exception>
    public byte[] Piece(int token)
    {
        RequireText();
        RequireKnown([token]);
        return Piece(token, special: _preparation?.IsSpecial(token) is false);
    }

    internal void RequireKnown(IReadOnlyList<int> tokens)
    {
        for (int i = 0; i < tokens.Count; i++)
        {
            if (tokens[i] < 0 || tokens[i] >= TokenCount) throw new InvalidOptionException($"token {tokens[i]} at position {i}: the vocabulary has {TokenCount}");
        }
    }

    private string Detokenize(int[] ids, bool skipSpecial)
    {
        byte[] buffer = new byte[Math.Max(64, ids.Length * 16)];
        using var lease = new HandleLease(_model.Handle);
        while (true)
        {
            fixed (int* input = ids)
            fixed (byte* output = buffer)
            {
                int count = LlamaVocabApi.LlamaDetokenize(_vocab, input, ids.Length, output, buffer.Length, removeSpecial: false, unparseSpecial: !skipSpecial);
                if (count >= 0) return Encoding.UTF8.GetString(buffer, 0, count);
                buffer = new byte[-count];
            }
        }
    }

    // The engine reads special tokens everywhere or nowhere. Between the ones that the template wrote, a stretch with another spelling in it is read without.
    private int[] EncodeByEngine(string text, bool addSpecial, LiteralRanges literal)
    {
        List<(int Begin, int End)> spelt = [.. _special.Places(text)];
        if (!spelt.Any(place => literal.Overlap(place.Begin, place.End))) return Tokenize(text, addSpecial, parseSpecial: true);
        List<int> ids = [];
        (int begin, bool said) = (0, false);
        foreach ((int from, int to) in spelt.Append((text.Length, text.Length)))
        {
            if (from < text.Length && literal.Overlap(from, to))
            {
                said = true;
                continue;
            }
            ids.AddRange(Tokenize(text[begin..from], addSpecial: false, parseSpecial: !said));
            if (to > from) ids.AddRange(Tokenize(text[from..to], addSpecial: false, parseSpecial: true));
            (begin, said) = (to, false);
        }
        return [.. ids];
    }

    private int[] EngineLeading()
    {
        using var lease = new HandleLease(_model.Handle);
        return LlamaVocabApi.LlamaVocabGetAddBos(_vocab) ? [LlamaVocabApi.LlamaVocabBos(_vocab)] : [];
    }

    private int[] EngineTrailing()
    {
        using var lease = new HandleLease(_model.Handle);
        return LlamaVocabApi.LlamaVocabGetAddEos(_vocab) ? [LlamaVocabApi.LlamaVocabEos(_vocab)] : [];
    }

    private byte[] Piece(int token, bool special)
    {
        using var lease = new HandleLease(_model.Handle);
        if (_preparation?.Bytes(token) is { } known) return special ? known : [];
        byte[] buffer = new byte[64];
        while (true)
        {
            fixed (byte* output = buffer)
            {
                int count = LlamaVocabApi.LlamaTokenToPiece(_vocab, token, output, buffer.Length, lstrip: 0, special);
                if (count >= 0) return buffer[..count];
                buffer = new byte[-count];
            }
        }
    }

    private void RequireText()
    {
        if (!HasText) throw new UnsupportedModelException("the checkpoint has no tokenizer files, so text cannot be turned into tokens; token ids can be used");
    }

    private int[] Tokenize(string text, bool addSpecial, bool parseSpecial)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        // A byte makes at most one token, and a space may be put before the text or each special token in it.
        var tokens = new int[2 * utf8.Length + 8];
        using var lease = new HandleLease(_model.Handle);
        fixed (byte* bytes = utf8)
        fixed (int* output = tokens)
        {
            int count = LlamaVocabApi.LlamaTokenize(_vocab, bytes, utf8.Length, output, tokens.Length, addSpecial, parseSpecial);
            // Some tokenizers answer with no token where the vocabulary has none, not even an unknown one.
            if (count > 0 && tokens.AsSpan(0, count).IndexOfAnyExceptInRange(0, TokenCount - 1) is >= 0 and var at)
                throw new UnsupportedModelException($"token {tokens[at]} at position {at} of a text: the vocabulary has {TokenCount} tokens and none for this place");
            return count >= 0 ? tokens[..count] : throw new EngineException($"llama.cpp made {-(long)count} tokens of {utf8.Length} bytes, and at most {tokens.Length} were expected");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_bytes.IsValueCreated) _bytes.Value?.Dispose();
        if (_ownsModel) _model.Dispose();
    }
}
