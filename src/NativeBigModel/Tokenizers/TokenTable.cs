namespace NativeBigModel.Tokenizers;

/// <summary>
/// Token texts and kinds by id while they are gathered from several files. Keeps what llama.cpp asserts, and would abort the process for:
/// no two ids share a text (llama-vocab.cpp, llama_vocab::impl::load).
/// </summary>
internal sealed class TokenTable
{
    private const int LargestVocabulary = 1 << 22;

    private readonly string?[] _texts;
    private readonly TokenKind[] _kinds;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

    public TokenTable(int size)
    {
        if (size is < 1 or > LargestVocabulary) throw new CheckpointException("config.json", "vocab_size", $"{size}, and 1 to {LargestVocabulary} are allowed");
        _texts = new string?[size];
        _kinds = new TokenKind[size];
    }

    public int Size => _texts.Length;

    public string? this[int id] => (uint)id < (uint)_texts.Length ? _texts[id] : null;

    public int? Find(string text) => _ids.TryGetValue(text, out int id) ? id : null;

    public TokenKind KindOf(int id) => _kinds[id];

    /// <summary>Gives a free id its text. The empty text is no token: its id stays free.</summary>
    public void Add(string file, string field, int id, string text, TokenKind kind)
    {
        if ((uint)id >= (uint)_texts.Length) throw new CheckpointException(file, field, $"token id {id}, and the model has {_texts.Length} tokens");
        if (text.Length == 0) return;
        // llama.cpp reads token texts as C strings.
        if (text.Contains('\0')) throw new UnsupportedModelException($"{file}: token {id} holds a NUL character, which llama.cpp cannot express");
        if (_texts[id] is { } taken) throw new CheckpointException(file, field, $"token id {id} stands for both \"{taken}\" and \"{text}\"");
        if (!_ids.TryAdd(text, id)) throw new CheckpointException(file, field, $"\"{text}\" has the ids {_ids[text]} and {id}");
        _texts[id] = text;
        _kinds[id] = kind;
    }

    public void SetKind(int id, TokenKind kind) => _kinds[id] = kind;

    /// <summary>Names the ids that no file defines; nothing may be added afterwards.</summary>
    public (string[] Texts, TokenKind[] Kinds) Complete()
    {
        for (int id = 0; id < _texts.Length; id++)
        {
            if (_texts[id] is not null) continue;
            string text = $"[PAD{id}]";
            while (!_ids.TryAdd(text, id)) text += "_";
            _texts[id] = text;
            _kinds[id] = TokenKind.Unused;
        }
        return (_texts!, _kinds)!;
    }
}
