using System.Text;
using NativeBigModel.Native;
using NativeBigModel.Runtime;

namespace NativeBigModel;

/// <summary>Text to token ids and back, by llama.cpp's tokenizer over the checkpoint's vocabulary. Thread-safe.</summary>
public sealed unsafe class Tokenizer : IDisposable
{
    private readonly EngineModel _model;
    private readonly LlamaVocab* _vocab;
    private readonly bool _normalizes;
    private readonly bool _ownsModel;

    internal Tokenizer(EngineModel model, bool normalizes, bool ownsModel)
    {
        (_model, _normalizes, _ownsModel) = (model, normalizes, ownsModel);
        _vocab = LlamaModelApi.LlamaModelGetVocab(model.Handle);
        TokenCount = LlamaVocabApi.LlamaVocabNTokens(_vocab);
        HasText = LlamaVocabApi.LlamaVocabType(_vocab) != LlamaVocabType.None;
    }

    /// <summary>Size of the vocabulary.</summary>
    public int TokenCount { get; }

    /// <summary>Whether the checkpoint has a tokenizer at all; without one, only ids go in and out.</summary>
    public bool HasText { get; }

    /// <summary>Opens a checkpoint's tokenizer without its weights.</summary>
    /// <exception cref="EngineException">The engine is missing or refuses the vocabulary.</exception>
    public static Tokenizer Open(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return new Tokenizer(EngineModel.LoadVocabulary(checkpoint.Define(WeightType.AsStored)), checkpoint.NormalizesText, ownsModel: true);
    }

    /// <summary>The ids of a text.</summary>
    /// <param name="text">Any text; the spelling of a special token is read as that token.</param>
    /// <param name="addSpecial">Whether to add the tokens that the model's own rules put around a text, such as BOS.</param>
    public int[] Encode(string text, bool addSpecial = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        RequireText();
        byte[] utf8 = Encoding.UTF8.GetBytes(_normalizes ? Normalize(text) : text);
        var tokens = new int[utf8.Length + 8];
        fixed (byte* bytes = utf8)
        fixed (int* output = tokens)
        {
            int count = LlamaVocabApi.LlamaTokenize(_vocab, bytes, utf8.Length, output, tokens.Length, addSpecial, parseSpecial: true);
            return count >= 0 ? tokens[..count] : throw new EngineException($"llama.cpp made {-(long)count} tokens of {utf8.Length} bytes, and {tokens.Length} were expected at most");
        }
    }

    /// <summary>The text of ids, special tokens included.</summary>
    /// <exception cref="InvalidOptionException">An id is outside the vocabulary.</exception>
    public string Decode(IReadOnlyList<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        RequireText();
        RequireKnown(tokens);
        int[] ids = [.. tokens];
        byte[] buffer = new byte[Math.Max(64, ids.Length * 16)];
        while (true)
        {
            fixed (int* input = ids)
            fixed (byte* output = buffer)
            {
                int count = LlamaVocabApi.LlamaDetokenize(_vocab, input, ids.Length, output, buffer.Length, removeSpecial: false, unparseSpecial: true);
                if (count >= 0) return Encoding.UTF8.GetString(buffer, 0, count);
                buffer = new byte[-count];
            }
        }
    }

    /// <summary>Whether generation ends with this token.</summary>
    public bool IsEndOfGeneration(int token) => LlamaVocabApi.LlamaVocabIsEog(_vocab, token);

    /// <summary>The bytes that a token adds to a text, which may be part of a character; none for special tokens.</summary>
    internal byte[] Piece(int token)
    {
        byte[] buffer = new byte[64];
        while (true)
        {
            fixed (byte* output = buffer)
            {
                int count = LlamaVocabApi.LlamaTokenToPiece(_vocab, token, output, buffer.Length, lstrip: 0, special: false);
                if (count >= 0) return buffer[..count];
                buffer = new byte[-count];
            }
        }
    }

    internal void RequireKnown(IReadOnlyList<int> tokens)
    {
        for (int i = 0; i < tokens.Count; i++)
        {
            if (tokens[i] < 0 || tokens[i] >= TokenCount) throw new InvalidOptionException($"token {tokens[i]} at position {i}: the vocabulary has {TokenCount}");
        }
    }

    private void RequireText()
    {
        if (!HasText) throw new UnsupportedModelException("the checkpoint has no tokenizer files, so text cannot be turned into tokens; token ids can be used");
    }

    private static string Normalize(string text)
    {
        string normalized = text.Normalize(NormalizationForm.FormC);
        // Without ICU the platform leaves text as it is; better no answer than other tokens.
        if ("e\u0301".Normalize(NormalizationForm.FormC).Length != 1 && !text.All(char.IsAscii))
            throw new EngineException("this model's tokenizer normalises Unicode text, which needs ICU: install libicu or leave InvariantGlobalization off");
        return normalized;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ownsModel) _model.Dispose();
    }
}
