namespace NativeBigModel.Tokenizers;

/// <summary>BERT's WordPiece as llama.cpp's "bert", which marks the beginnings of words instead of their continuations.</summary>
internal static class WordPiece
{
    public static Vocabulary Read(JsonField tokenizer, TokenizerFiles files, TokenTable table)
    {
        JsonField model = tokenizer.Get("model");
        JsonField normalizer = RequireBert(tokenizer);
        string continues = model.Find("continuing_subword_prefix")?.Text() ?? "##";
        string unknown = model.Get("unk_token").Text();
        foreach ((string text, JsonField id) in model.Get("vocab").Entries())
        {
            table.Add(id.File, id.Path, id.Integer(), text, text == unknown ? TokenKind.Unknown : TokenKind.Normal);
        }
        int unknownId = table.Find(unknown) ?? throw model.Get("unk_token").Error($"\"{unknown}\" is not among the vocabulary's {table.Size} tokens");
        TextRules added = AddedTokens.AddTo(table, files);
        (string[] texts, TokenKind[] kinds) = table.Complete();
        MarkBeginnings(model.File, texts, kinds, continues);
        bool clean = tokenizer.Find("decoder")?.Find("cleanup")?.Flag() is not false;
        return new("bert", PreTokenizer: null, texts, kinds, Scores: null, Merges: null)
        {
            UnknownId = unknownId,
            LowerCase = BertText.Lowers(normalizer),
            StripAccents = BertText.Strips(normalizer),
            Text = added with
            {
                Normalizer = tokenizer.Get("normalizer").Element.GetRawText(),
                LongestWord = model.Find("max_input_chars_per_word")?.Integer() ?? 100,
                Join = clean ? TextJoin.CleanWords : TextJoin.Words,
            },
        };
    }

    // llama.cpp drops control characters and cuts ideographs out itself, whatever its keys say.
    private static JsonField RequireBert(JsonField tokenizer)
    {
        if (tokenizer.Find("pre_tokenizer")?.Get("type").Text() is var words and not "BertPreTokenizer") throw new UnsupportedModelException($"{tokenizer.File}: pre_tokenizer: {words ?? "none"} before WordPiece");
        JsonField? bert = tokenizer.Find("normalizer") is { } root ? TextNormalizer.Flatten(root).Cast<JsonField?>().FirstOrDefault(step => step!.Value.Get("type").Text() is "BertNormalizer") : null;
        return bert is { } step && step.Find("clean_text")?.Flag() is not false && step.Find("handle_chinese_chars")?.Flag() is not false
            ? step
            : throw new UnsupportedModelException($"{tokenizer.File}: normalizer: no BertNormalizer with clean_text and handle_chinese_chars, both of which llama.cpp does before WordPiece");
    }

    private static void MarkBeginnings(string file, string[] texts, TokenKind[] kinds, string continues)
    {
        HashSet<string> all = new(StringComparer.Ordinal);
        for (int id = 0; id < texts.Length; id++)
        {
            string text = texts[id];
            if (kinds[id] is TokenKind.Normal) texts[id] = text.Length > continues.Length && text.StartsWith(continues, StringComparison.Ordinal) ? text[continues.Length..] : SpaceRules.Symbol + text;
            if (!all.Add(texts[id])) throw new UnsupportedModelException($"{file}: model.vocab: \"{text}\" is \"{texts[id]}\" to llama.cpp, and so is another token");
        }
    }
}
