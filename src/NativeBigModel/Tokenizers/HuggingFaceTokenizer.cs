namespace NativeBigModel.Tokenizers;

/// <summary>Translates the tokenizer of a Hugging Face folder into llama.cpp's terms, or refuses what these cannot express.</summary>
internal static class HuggingFaceTokenizer
{
    /// <summary>Reads the folder's tokenizer; null when it has no tokenizer files at all.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="vocabularySize">Rows of the embedding; the vocabulary gets exactly as many tokens.</param>
    /// <param name="config">Ids from the model's config.json.</param>
    /// <exception cref="CheckpointException">A file is malformed.</exception>
    /// <exception cref="UnsupportedModelException">llama.cpp cannot tokenize as this folder asks.</exception>
    public static Vocabulary? Read(string folder, int vocabularySize, TokenIds config)
    {
        using TokenizerFiles files = new(folder);
        TokenTable table = new(vocabularySize);
        if (ReadModel(files, table) is not { } vocabulary) return null;
        TextNormalizer.Parse(TokenizerFiles.TokenizerJson, vocabulary.Text.Normalizer);
        SpecialTokens special = new(table, files, config);
        vocabulary = WithSpecialTokens(vocabulary, special, files, table);
        return vocabulary is { EosId: null, NeverInText: null, Model: not "bert" }
            ? throw new UnsupportedModelException("tokenizer_config.json: eos_token: none, and no token for byte 0xFF to stand in for it")
            : vocabulary with { ChatTemplates = ChatTemplates.Read(files), NamedTokens = ChatTemplates.NamedTokens(files) };
    }

    private static Vocabulary? ReadModel(TokenizerFiles files, TokenTable table)
    {
        if (files.Tokenizer is { } tokenizer)
        {
            JsonField model = tokenizer.Get("model");
            string type = model.Find("type")?.Text() ?? "BPE"; // old files leave it out
            if (type is "Unigram") return Unigram.Read(tokenizer, files, table);
            if (type is "WordPiece") return WordPiece.Read(tokenizer, files, table);
            if (type is not "BPE") throw new UnsupportedModelException($"{model.File}: model.type: {type}");
            if (SplittingRules.Read(tokenizer) is { } rules) return ByteLevelBpe.Read(tokenizer, rules, files, table);
            if (model.Find("byte_fallback")?.Flag() is true) return SentencePieceBpe.Read(tokenizer, Pieces(files), files, table);
            throw new UnsupportedModelException($"{model.File}: model: BPE that is neither byte-level nor falls back to bytes");
        }
        return Pieces(files) switch
        {
            null => null,
            { Algorithm: SentencePieceModel.Unigram } pieces => Unigram.Read(pieces, files, table),
            var pieces => SentencePieceBpe.Read(pieces, files, table),
        };
    }

    private static SentencePieceModel? Pieces(TokenizerFiles files) => files.ReadSentencePiece() is { } bytes ? SentencePieceModel.Parse(bytes) : null;

    private static Vocabulary WithSpecialTokens(Vocabulary vocabulary, SpecialTokens special, TokenizerFiles files, TokenTable table)
    {
        (int? bos, int? eos) = (special.Bos, special.Eos);
        PostProcessor? around = files.Tokenizer is { } tokenizer ? PostProcessor.Read(tokenizer, table) : null;
        List<int> before = around?.Before ?? [.. vocabulary.Text.Leading];
        List<int> after = around?.After ?? [];
        if (around is null)
        {
            // The classes that read tokenizer.model themselves begin with BOS unless told otherwise.
            if (before.Count == 0 && bos is { } first && (files.Config?.Find("add_bos_token")?.Flag() ?? files.Tokenizer is null)) before.Add(first);
            if (eos is { } last && files.Config?.Find("add_eos_token")?.Flag() is true) after.Add(last);
        }
        else if (before is [var only] && vocabulary.Model is not "bert")
        {
            bos = only;
        }
        return vocabulary with
        {
            BosId = bos,
            EosId = eos,
            UnknownId = vocabulary.UnknownId ?? special.Unknown ?? FirstUnknown(vocabulary),
            PaddingId = special.Padding,
            Text = vocabulary.Text with { Leading = before, Trailing = after },
            AddBos = before is [var one] && one == bos,
            AddEos = after is [var end] && end == eos,
        };
    }

    private static int? FirstUnknown(Vocabulary vocabulary) => Array.IndexOf(vocabulary.Kinds, TokenKind.Unknown) is >= 0 and var id ? id : null;
}
