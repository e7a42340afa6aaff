namespace NativeBigModel.Tokenizers;

/// <summary>SentencePiece's Unigram as llama.cpp's "t5".</summary>
internal static class Unigram
{
    public static Vocabulary Read(JsonField tokenizer, TokenizerFiles files, TokenTable table)
    {
        JsonField model = tokenizer.Get("model");
        SpaceRules spaces = SpaceRules.Read(tokenizer);
        if (model.Find("byte_fallback")?.Flag() is true) throw new UnsupportedModelException($"{model.File}: model.byte_fallback: true with Unigram, which llama.cpp has with BPE only");
        int unknown = (model.Find("unk_id") ?? throw new UnsupportedModelException($"{model.File}: model.unk_id: none, and llama.cpp needs a token for what the vocabulary does not cover")).Integer();
        float[] scores = new float[table.Size];
        foreach ((int id, JsonField item) in model.Get("vocab").Items().Index())
        {
            if (item.Items().ToList() is not [var text, var score]) throw item.Error("not a piece and its score");
            table.Add(item.File, item.Path, id, text.Text(), id == unknown ? TokenKind.Unknown : TokenKind.Normal);
            scores[id] = score.Real();
        }
        if (table[unknown] is null) throw model.Get("unk_id").Error($"token id {unknown} is not among the vocabulary's {table.Size} tokens");
        // Without it an unknown word would melt into an unknown word before it.
        if (table.Find(SpaceRules.Symbol) is null) throw new UnsupportedModelException($"{model.File}: model.vocab: no token {SpaceRules.Symbol} for a space alone");
        TextRules added = AddedTokens.AddTo(table, files);
        if (spaces.SplitsAtSpaces) SpaceRules.RefuseTokensAcrossSpaces(model.File, table);
        (string[] texts, TokenKind[] kinds) = table.Complete();
        return new("t5", PreTokenizer: null, texts, kinds, scores, Merges: null)
        {
            UnknownId = unknown,
            AddSpacePrefix = spaces.PutsSpaceBefore,
            RemoveExtraWhitespaces = spaces.Space is SpacePrefix.MetaspaceWords,
            CharacterMap = PrecompiledMap.Find(tokenizer),
            Text = added with
            {
                Normalizer = tokenizer.Find("normalizer")?.Element.GetRawText(),
                Space = spaces.Space,
                Join = Decoders.StripsFirstSpace(tokenizer) ? TextJoin.WithoutFirstSpace : TextJoin.Plain,
            },
        };
    }
}
