using System.Globalization;

namespace NativeBigModel.Tokenizers;

/// <summary>Tokens that are cut out of a text before it is split into words.</summary>
internal static class AddedTokens
{
    /// <summary>Adds those of tokenizer.json, then what tokenizer_config.json and added_tokens.json know beyond them, and says how they are cut out.</summary>
    /// <param name="table">Holds the vocabulary proper already.</param>
    /// <param name="files">The folder.</param>
    public static TextRules AddTo(TokenTable table, TokenizerFiles files)
    {
        Flags rules = new([], [], [], []);
        foreach (JsonField token in files.Tokenizer?.Find("added_tokens")?.Items() ?? [])
        {
            Add(table, rules, token, token.Get("id").Integer());
        }
        foreach ((string key, JsonField token) in files.Config?.Find("added_tokens_decoder")?.Entries() ?? [])
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int id)) throw token.Error($"\"{key}\" is not a token id");
            if (!files.HasTokenizerJson || (table[id] is null && table.Find(token.Get("content").Text()) is null)) Add(table, rules, token, id);
        }
        foreach ((string text, JsonField id) in files.AddedTokens?.Entries() ?? [])
        {
            if (table.Find(text) is null) table.Add(id.File, id.Path, id.Integer(), text, TokenKind.UserDefined);
        }
        foreach (JsonField token in files.SpecialTokens())
        {
            if (TokenizerFiles.Spelling(token) is { } text && table.Find(text) is { } id && table.KindOf(id) is TokenKind.Normal or TokenKind.UserDefined) table.SetKind(id, TokenKind.Control);
        }
        return new() { TrimBefore = rules.TrimBefore, TrimAfter = rules.TrimAfter, WholeWord = rules.WholeWord, Normalized = rules.Normalized };
    }

    private static void Add(TokenTable table, Flags rules, JsonField token, int id)
    {
        string text = token.Get("content").Text();
        if (table.Find(text) is not { } known || known != id) table.Add(token.File, token.Path, id, text, TokenKind.Normal);
        if (text.Length == 0) return;
        if (table.KindOf(id) is not (TokenKind.Unknown or TokenKind.Byte))
        {
            table.SetKind(id, Is("special") ? TokenKind.Control : TokenKind.UserDefined);
        }
        if (Is("lstrip")) rules.TrimBefore.Add(id);
        if (Is("rstrip")) rules.TrimAfter.Add(id);
        if (Is("single_word")) rules.WholeWord.Add(id);
        if (Is("normalized")) rules.Normalized.Add(id);

        bool Is(string flag) => token.Find(flag)?.Flag() is true;
    }

    private readonly record struct Flags(List<int> TrimBefore, List<int> TrimAfter, List<int> WholeWord, List<int> Normalized);
}
