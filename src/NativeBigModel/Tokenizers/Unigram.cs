namespace NativeBigModel.Tokenizers;

/// <summary>SentencePiece's Unigram as llama.cpp's "t5".</summary>
internal static class Unigram
{
    public static Vocabulary Read(JsonField tokenizer, TokenizerFiles files, TokenTable table)
    {
        JsonField model = tokenizer.Get("model");
        SpaceRules spaces = SpaceRules.Read(tokenizer);
        bool bytes = model.Find("byte_fallback")?.Flag() is true;
        int unknown = (model.Find("unk_id") ?? throw new UnsupportedModelException($"{model.File}: model.unk_id: none, and llama.cpp needs a token for what the vocabulary does not cover")).Integer();
        float[] scores = new float[table.Size];
        foreach ((int id, JsonField item) in model.Get("vocab").Items().Index())
        {
            if (item.Items().ToList() is not [var text, var score]) throw item.Error("not a piece and its score");
            table.Add(item.File, item.Path, id, text.Text(), id == unknown ? TokenKind.Unknown : bytes && SentencePieceBpe.IsByte(text.Text()) ? TokenKind.Byte : TokenKind.Normal);
            scores[id] = score.Real();
        }
        if (table[unknown] is null) throw model.Get("unk_id").Error($"token id {unknown} is not among the vocabulary's {table.Size} tokens");
        // Without it an unknown word would melt into an unknown word before it.
        if (table.Find(SpaceRules.Symbol) is null) throw new UnsupportedModelException($"{model.File}: model.vocab: no token {SpaceRules.Symbol} for a space alone");
        if (bytes) RequireBytes(model.File, table);
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

    /// <summary>From tokenizer.model alone.</summary>
    public static Vocabulary Read(SentencePieceModel model, TokenizerFiles files, TokenTable table)
    {
        const string file = TokenizerFiles.SentencePiece;
        SentencePieceBpe.RefuseSpaces(model);
        SentencePieceBpe.AddPieces(model, table);
        int unknown = model.Pieces.FindIndex(static piece => piece.Kind is TokenKind.Unknown);
        if (unknown < 0) throw new CheckpointException(file, "pieces", "none is the unknown one");
        if (model.Pieces.Exists(static piece => piece.Kind is TokenKind.Byte)) RequireBytes(file, table);
        else if (table.Find(SpaceRules.Symbol) is null) throw new UnsupportedModelException($"{file}: no piece {SpaceRules.Symbol} for a space alone");
        TextRules added = AddedTokens.AddTo(table, files);
        bool prefix = files.Config?.Find("add_prefix_space")?.Flag() ?? model.AddDummyPrefix, first = files.Config?.Find("legacy")?.Flag() is false;
        (string[] texts, TokenKind[] kinds) = table.Complete();
        return new("t5", PreTokenizer: null, texts, kinds, SentencePieceBpe.Scores(model, table), Merges: null)
        {
            UnknownId = unknown,
            AddSpacePrefix = prefix,
            CharacterMap = model.CharacterMap,
            Text = added with
            {
                Normalizer = Normalizer(model.CharacterMap, prefix && !first),
                Space = prefix && first ? SpacePrefix.MetaspaceFirst : SpacePrefix.None,
                Join = prefix ? TextJoin.WithoutFirstSpace : TextJoin.Plain,
            },
        };
    }

    private static string? Normalizer(byte[]? map, bool prepends)
    {
        string? mapped = map is null ? null : $$"""{"type": "Precompiled", "precompiled_charsmap": "{{Convert.ToBase64String(map)}}"}""";
        return !prepends ? mapped : mapped is null ? SentencePieceBpe.PrependsSpace : $$"""{"type": "Sequence", "normalizers": [{{mapped}}, {{SentencePieceBpe.PrependsSpace}}]}""";
    }

    private static void RequireBytes(string file, TokenTable table)
    {
        for (int value = 0; value < 256; value++)
        {
            if (table.Find(SentencePieceBpe.Name((byte)value)) is not { } id || table.KindOf(id) is not TokenKind.Byte)
                throw new UnsupportedModelException($"{file}: the byte token {SentencePieceBpe.Name((byte)value)} is missing, and others are there");
        }
    }
}
