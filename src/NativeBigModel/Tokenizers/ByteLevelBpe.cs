namespace NativeBigModel.Tokenizers;

/// <summary>Byte-level BPE of tokenizer.json as llama.cpp's "gpt2".</summary>
internal static class ByteLevelBpe
{
    public static Vocabulary Read(JsonField tokenizer, SplittingRules rules, TokenizerFiles files, TokenTable table)
    {
        JsonField model = tokenizer.Get("model");
        RefuseOptions(model);
        foreach ((string text, JsonField id) in model.Get("vocab").Entries()) table.Add(id.File, id.Path, id.Integer(), text, TokenKind.Normal);
        List<Merge> merges = Merges.Read(model, table);
        RefuseUnknownBytes(model, table);
        HideUnspellable(table);

        TextRules added = AddedTokens.AddTo(table, files);
        bool cleanSpaces = files.Config?.Find("clean_up_tokenization_spaces")?.Flag() is true;
        bool ignoreMerges = model.Find("ignore_merges")?.Flag() is true;
        PreTokenizer pre = PreTokenizers.Choose(rules, ignoreMerges, () => MergeReach.ReachesAll(table, merges), cleanSpaces);

        IEnumerable<Merge> usable = pre.MissesDigitRuns ? merges.Where(merge => !MixesDigits(table[merge.Result]!)) : merges;
        string[] spelled = [.. usable.Select(merge => Spell(model, table, merge))];
        (string[] texts, TokenKind[] kinds) = table.Complete();
        return new("gpt2", pre.Name, texts, kinds, Scores: null, spelled)
        {
            Text = added with { Normalizer = tokenizer.Find("normalizer")?.Element.GetRawText(), Space = rules.Space },
        };
    }

    private static void RefuseOptions(JsonField model)
    {
        foreach (string affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Find(affix)?.Text() is { Length: > 0 } text) throw new UnsupportedModelException($"{model.File}: model.{affix}: \"{text}\" in byte-level BPE");
        }
        if (model.Find("dropout") is { } dropout) throw new UnsupportedModelException($"{model.File}: model.dropout: {dropout.Element}: tokenization is random");
    }

    // Without an unk_token a byte that is no token is dropped, by llama.cpp as well.
    private static void RefuseUnknownBytes(JsonField model, TokenTable table)
    {
        if (model.Find("unk_token")?.Text() is not { } unknown) return;
        for (int value = 0; value < 256; value++)
        {
            if (table.Find(ByteAlphabet.OfByte((byte)value).ToString()) is null)
            {
                throw new UnsupportedModelException($"{model.File}: model.unk_token: \"{unknown}\" stands for byte {value}, which llama.cpp would drop");
            }
        }
    }

    private static string Spell(JsonField model, TokenTable table, Merge merge)
    {
        (string left, string right) = (table[merge.Left]!, table[merge.Right]!);
        // llama.cpp cuts "left right" at the first space from position 1.
        return left.IndexOf(' ', StringComparison.Ordinal) < 1 ? $"{left} {right}" : throw new UnsupportedModelException($"{model.File}: model.merges: the left part \"{left}\" holds a space");
    }

    private static bool MixesDigits(string text) => text.Any(char.IsNumber) && !text.All(char.IsNumber);

    // Text never becomes such a token, and decoding one costs llama.cpp the square of its length.
    private static void HideUnspellable(TokenTable table)
    {
        for (int id = 0; id < table.Size; id++)
        {
            if (table[id] is { } text && !ByteAlphabet.Spells(text)) table.SetKind(id, TokenKind.Unused);
        }
    }
}
