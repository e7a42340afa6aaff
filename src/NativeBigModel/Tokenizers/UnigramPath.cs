using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// Unigram with byte fallback, which llama.cpp has not: the likeliest way to cut a text into pieces, and the bytes of characters that no piece has (huggingface/tokenizers,
/// models/unigram/model.rs, encode_optimized).
/// </summary>
internal sealed class UnigramPath
{
    private const double UnknownPenalty = 10;
    private const int Unknown = -1;

    private readonly string[] _pieces;
    private readonly int[] _ids;
    private readonly float[] _scores;
    private readonly int[] _bytes;
    private readonly double _unknownScore;

    private UnigramPath(int[] ids, string[] tokens, float[] scores, int[] bytes)
    {
        _ids = ids;
        _pieces = Array.ConvertAll(ids, id => tokens[id]);
        Array.Sort(_pieces, _ids, StringComparer.Ordinal);
        _scores = Array.ConvertAll(_ids, id => scores[id]);
        _unknownScore = _scores.Min() - UnknownPenalty;
        _bytes = bytes;
    }

    /// <summary>Null for other models, and where not every byte has a token: llama.cpp tokenizes those.</summary>
    public static UnigramPath? For(string? model, string[] tokens, TokenKind[] kinds, float[]? scores)
    {
        if (model is not "t5" || scores is null || !kinds.Contains(TokenKind.Byte)) return null;
        int[] bytes = [.. Enumerable.Range(0, 256).Select(value => Array.IndexOf(tokens, SentencePieceBpe.Name((byte)value)))];
        return bytes.All(id => id >= 0 && kinds[id] is TokenKind.Byte)
            ? new([.. Enumerable.Range(0, tokens.Length).Where(id => tokens[id].Length > 0 && kinds[id] is TokenKind.Normal or TokenKind.Byte)], tokens, scores, bytes)
            : null;
    }

    /// <summary>The tokens of a text, whose spaces stand for themselves.</summary>
    public IEnumerable<TextPiece> Split(string text)
    {
        text = text.Replace(" ", SpaceRules.Symbol, StringComparison.Ordinal);
        List<int> reversed = [];
        (double Score, int Start, int Piece)[] best = Best(text);
        for (int end = text.Length; end > 0; end = best[end].Start)
        {
            (_, int start, int piece) = best[end];
            if (piece != Unknown) reversed.Add(_ids[piece]);
            else foreach (byte value in Encoding.UTF8.GetBytes(text[start..end]).Reverse()) reversed.Add(_bytes[value]);
        }
        return reversed.AsEnumerable().Reverse().Select(static id => new TextPiece("", id));
    }

    // To every place, the best way there.
    private (double Score, int Start, int Piece)[] Best(string text)
    {
        var best = new (double Score, int Start, int Piece)[text.Length + 1];
        Array.Fill(best, (double.NegativeInfinity, 0, Unknown));
        best[0].Score = 0;
        for (int start = 0, width; start < text.Length; start += width)
        {
            width = char.IsHighSurrogate(text[start]) ? 2 : 1;
            bool single = false;
            (int low, int high) = (0, _pieces.Length);
            for (int length = 1; start + length <= text.Length; length++)
            {
                char letter = text[start + length - 1];
                (low, high) = (First(low, high, length, letter), First(low, high, length, letter + 1));
                if (low == high) break;
                if (_pieces[low].Length > length) continue;
                Offer(best, start, start + length, _scores[low], low);
                single |= length == width;
            }
            if (!single) Offer(best, start, start + width, _unknownScore, Unknown);
        }
        return best;
    }

    private static void Offer((double Score, int Start, int Piece)[] best, int start, int end, double score, int piece)
    {
        if (best[start].Score + score > best[end].Score) best[end] = (best[start].Score + score, start, piece);
    }

    // Of sorted pieces that begin alike, the first that has no lesser letter at a place.
    private int First(int low, int high, int length, int letter)
    {
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_pieces[middle].Length < length || _pieces[middle][length - 1] < letter) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
