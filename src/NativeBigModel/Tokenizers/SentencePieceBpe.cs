using System.Globalization;

namespace NativeBigModel.Tokenizers;

/// <summary>BPE with byte fallback, from tokenizer.model or tokenizer.json, as llama.cpp's "llama" by scores, or "gpt2" by merges.</summary>
internal static class SentencePieceBpe
{
    internal const string PrependsSpace = """
        {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
        """;

    /// <summary>From tokenizer.model alone.</summary>
    public static Vocabulary Read(SentencePieceModel model, TokenizerFiles files, TokenTable table)
    {
        const string file = TokenizerFiles.SentencePiece;
        RefuseUnlessBpe(model);
        if (model.CharacterMap is not null) throw new UnsupportedModelException($"{file}: normalizer_spec: a character map with BPE");
        RefuseSpaces(model);
        AddPieces(model, table);
        TextRules added = AddedTokens.AddTo(table, files);
        if (ChatGlmTokens.AreMeant(files)) added = added with { Leading = ChatGlmTokens.AddTo(table, model.Pieces.Count) };
        ShowSpaces(table);
        bool prefix = files.Config?.Find("add_prefix_space")?.Flag() ?? model.AddDummyPrefix;
        // "legacy": false is transformers' word for the rule that its conversion to tokenizer.json spells as Metaspace "first".
        bool first = files.Config?.Find("legacy")?.Flag() is false;
        SpacePrefix space = prefix && first ? SpacePrefix.MetaspaceFirst : SpacePrefix.None;
        return Complete(file, table, Scores(model, table), prefix, added with
        {
            Normalizer = prefix && !first ? PrependsSpace : null,
            Space = space,
            Join = prefix ? TextJoin.WithoutFirstSpace : TextJoin.Plain,
        });
    }

    /// <summary>From tokenizer.json, with the scores of tokenizer.model where it lists the same pieces.</summary>
    public static Vocabulary Read(JsonField tokenizer, SentencePieceModel? pieces, TokenizerFiles files, TokenTable table)
    {
        JsonField model = tokenizer.Get("model");
        SpaceRules spaces = SpaceRules.Read(tokenizer);
        if (model.Find("ignore_merges")?.Flag() is true) throw new UnsupportedModelException($"{model.File}: model.ignore_merges: true with byte fallback");
        if (model.Find("dropout") is { } dropout) throw new UnsupportedModelException($"{model.File}: model.dropout: {dropout.Element}: tokenization is random");

        string? unknown = model.Find("unk_token")?.Text();
        foreach ((string text, JsonField id) in model.Get("vocab").Entries())
        {
            TokenKind kind = text == unknown ? TokenKind.Unknown : IsByte(text) ? TokenKind.Byte : TokenKind.Normal;
            table.Add(id.File, id.Path, id.Integer(), text, kind);
        }
        List<Merge> merges = Merges.Read(model, table);
        bool samePieces = pieces is { IsBpe: true } && Agrees(pieces, table);
        TextRules added = AddedTokens.AddTo(table, files);
        ShowSpaces(table);
        if (spaces.SplitsAtSpaces) SpaceRules.RefuseTokensAcrossSpaces(model.File, table);
        if (!samePieces) RefuseLineEndsInside(model.File, table);
        Vocabulary vocabulary = Complete(model.File, table, samePieces ? Scores(pieces!, table) : null, spaces.PutsSpaceBefore, added with
        {
            Normalizer = tokenizer.Find("normalizer")?.Element.GetRawText(),
            Space = spaces.Space,
            Join = Decoders.StripsFirstSpace(tokenizer) ? TextJoin.WithoutFirstSpace : TextJoin.Plain,
        });
        return samePieces ? vocabulary : vocabulary with { Merges = [.. merges.Select(merge => $"{table[merge.Left]} {table[merge.Right]}")] };
    }

    // By its merge list llama.cpp joins within lines and within runs of line ends.
    private static void RefuseLineEndsInside(string file, TokenTable table)
    {
        for (int id = 0; id < table.Size; id++)
        {
            if (table[id] is { } text && table.KindOf(id) is TokenKind.Normal && text.Contains('\n', StringComparison.Ordinal) && text.AsSpan().ContainsAnyExcept('\n'))
            {
                throw new UnsupportedModelException($"{file}: token {id} has a line end beside other characters, and llama.cpp splits there");
            }
        }
    }

    private static void RefuseUnlessBpe(SentencePieceModel model)
    {
        if (!model.IsBpe) throw new UnsupportedModelException($"{TokenizerFiles.SentencePiece}: trainer_spec.model_type: {model.Algorithm}, and only 2 (BPE) is read");
    }

    /// <summary>Refuses what is done to white space by other rules than these.</summary>
    internal static void RefuseSpaces(SentencePieceModel model)
    {
        if (model.RemoveExtraWhitespaces || !model.EscapeWhitespaces || model.WhitespaceAsSuffix)
            throw new UnsupportedModelException($"{TokenizerFiles.SentencePiece}: normalizer_spec: remove_extra_whitespaces, unescaped white space or white space as suffix");
    }

    internal static void AddPieces(SentencePieceModel model, TokenTable table)
    {
        for (int id = 0; id < model.Pieces.Count; id++)
        {
            Piece piece = model.Pieces[id];
            if (piece.Kind is TokenKind.Byte && !IsByte(piece.Text)) throw new CheckpointException(TokenizerFiles.SentencePiece, $"piece {id}", $"the byte piece \"{piece.Text}\" is not <0x00> to <0xFF>");
            table.Add(TokenizerFiles.SentencePiece, $"piece {id}", id, piece.Text, piece.Kind);
        }
    }

    private static bool Agrees(SentencePieceModel pieces, TokenTable table)
    {
        for (int id = 0; id < pieces.Pieces.Count; id++)
        {
            if (table[id] is { } text && text != pieces.Pieces[id].Text) return false;
        }
        return true;
    }

    // Tokens that tokenizer.model does not list are added tokens: they are cut out of the text and never joined.
    internal static float[] Scores(SentencePieceModel model, TokenTable table)
    {
        float[] scores = new float[table.Size];
        for (int id = 0; id < scores.Length && id < model.Pieces.Count; id++) scores[id] = model.Pieces[id].Score;
        return scores;
    }

    // llama.cpp prints user-defined tokens as they stand, with U+2581 for a space, and never joins to them: runs of spaces are ordinary tokens to it.
    private static void ShowSpaces(TokenTable table)
    {
        for (int id = 0; id < table.Size; id++)
        {
            if (table[id] is { } text && table.KindOf(id) is TokenKind.UserDefined && text.Contains(SpaceRules.Symbol, StringComparison.Ordinal)) table.SetKind(id, TokenKind.Normal);
        }
    }

    internal static bool IsByte(string text) =>
        text is ['<', '0', 'x', _, _, '>'] && byte.TryParse(text.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value) && text == Name(value);

    internal static string Name(byte value) => $"<0x{value:X2}>";

    private static Vocabulary Complete(string file, TokenTable table, float[]? scores, bool addSpacePrefix, TextRules rules)
    {
        // llama.cpp throws out of llama_tokenize, through the C ABI, where a byte has no token.
        for (int value = 0; value < 256; value++)
        {
            if (table.Find(Name((byte)value)) is null) throw new UnsupportedModelException($"{file}: the byte token {Name((byte)value)} is missing; llama.cpp needs all 256");
        }
        (string[] texts, TokenKind[] kinds) = table.Complete();
        // Without scores the merges decide, under the pre-tokenizer that leaves lines whole.
        return new(scores is null ? "gpt2" : "llama", scores is null ? TextPreparation.Lines : null, texts, kinds, scores, Merges: null)
        {
            AddSpacePrefix = addSpacePrefix,
            Text = rules,
        };
    }
}
