using System.Globalization;

namespace NativeBigModel.Tokenizers;

/// <summary>Tokens that are cut out of a text before it is split into words.</summary>
internal static class AddedTokens
{
    /// <summary>Adds those of tokenizer.json, then what tokenizer_config.json and added_tokens.json know beyond them.</summary>
    /// <param name="table">Holds the vocabulary proper already.</param>
    /// <param name="files">The folder.</param>
    public static AddedTokenRules AddTo(TokenTable table, TokenizerFiles files)
    {
        AddedTokenRules rules = new();
        foreach (JsonField token in files.Tokenizer?.Find("added_tokens")?.Items() ?? [])
        {
            Add(table, rules, token, token.Get("id").Integer());
        }
        foreach ((string key, JsonField token) in files.Config?.Find("added_tokens_decoder")?.Entries() ?? [])
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int id)) throw token.Error($"\"{key}\" is not a token id");
            if (files.Tokenizer is null || (table[id] is null && table.Find(token.Get("content").Text()) is null)) Add(table, rules, token, id);
        }
        foreach ((string text, JsonField id) in files.AddedTokens?.Entries() ?? [])
        {
            if (table.Find(text) is null) table.Add(id.File, id.Path, id.Integer(), text, TokenKind.UserDefined);
        }
        return rules;
    }

    private static void Add(TokenTable table, AddedTokenRules rules, JsonField token, int id)
    {
        string text = token.Get("content").Text();
        if (token.Find("single_word")?.Flag() is true)
        {
            throw new UnsupportedModelException($"{token.File}: {token.Path}: \"{text}\" is matched as a whole word only, which llama.cpp cannot express");
        }
        if (table.Find(text) is not { } known || known != id) table.Add(token.File, token.Path, id, text, TokenKind.Normal);
        if (text.Length == 0) return;
        if (table.KindOf(id) is not (TokenKind.Unknown or TokenKind.Byte))
        {
            table.SetKind(id, token.Find("special")?.Flag() is true ? TokenKind.Control : TokenKind.UserDefined);
        }
        if (token.Find("lstrip")?.Flag() is true) rules.TrimBefore.Add(id);
        if (token.Find("rstrip")?.Flag() is true) rules.TrimAfter.Add(id);
    }
}

/// <summary>The added tokens that take the white space beside them along.</summary>
internal sealed class AddedTokenRules
{
    public List<int> TrimBefore { get; } = [];

    public List<int> TrimAfter { get; } = [];
}
