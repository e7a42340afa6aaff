using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>Words out of WordPiece's tokens (huggingface/tokenizers, src/decoders/wordpiece.rs).</summary>
internal static class WordJoin
{
    private static readonly (string With, string Without)[] s_cleanUp =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    /// <param name="pieces">Texts of tokens; a space before one begins a word.</param>
    /// <param name="clean">Whether punctuation follows without a space.</param>
    public static string Join(IEnumerable<string> pieces, bool clean)
    {
        StringBuilder text = new();
        bool first = true;
        foreach (string piece in pieces)
        {
            string shown = first ? piece.TrimStart(' ') : piece;
            first = false;
            text.Append(clean ? s_cleanUp.Aggregate(shown, static (current, rule) => current.Replace(rule.With, rule.Without, StringComparison.Ordinal)) : shown);
        }
        return text.ToString();
    }
}
