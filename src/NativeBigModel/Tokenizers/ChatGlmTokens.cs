namespace NativeBigModel.Tokenizers;

/// <summary>
/// What the code of ChatGLM 2 and 3 (tokenization_chatglm.py) adds to its tokenizer.model: tokens behind the pieces, two of them before a text. No text spells them, but for those
/// that tokenizer_config.json lists.
/// </summary>
internal static class ChatGlmTokens
{
    private const int Mask = 1, Start = 3;

    // ChatGLM 2 has the first five.
    private static readonly string[] s_names = ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"];

    public static bool AreMeant(TokenizerFiles files) => files.Tokenizer is null && files.Config?.Find("tokenizer_class")?.Text() is "ChatGLMTokenizer";

    /// <summary>Names those ids behind the pieces that nothing has named, and returns the two that stand before every text.</summary>
    /// <exception cref="CheckpointException">The model has no rows for them.</exception>
    public static int[] AddTo(TokenTable table, int pieces)
    {
        if (pieces + Start >= table.Size) throw new CheckpointException(TokenizerFiles.SentencePiece, "pieces", $"{pieces}, and the model has {table.Size} tokens, too few for those of ChatGLM behind them");
        for (int i = 0; i < s_names.Length && pieces + i < table.Size; i++)
        {
            if (table[pieces + i] is null && table.Find(s_names[i]) is null) table.Add(TokenizerFiles.SentencePiece, s_names[i], pieces + i, s_names[i], TokenKind.Unused);
        }
        return [pieces + Mask, pieces + Start];
    }
}
