namespace NativeBigModel.Tokenizers;

/// <summary>
/// Scores under which llama.cpp's SentencePiece tokenizer joins pieces as a merge list does. It joins any two neighbours whose text together is a token, best
/// score first, and knows no pairs (llama-vocab.cpp, llm_tokenizer_spm_session); so a token's score is minus the place of its first merge, and the list must
/// name every pair that makes a token and must not fall back to a token that it had left.
/// </summary>
/// <remarks>
/// One difference remains: where a token can be made in two overlapping ways, as in runs of one character, llama.cpp takes the leftmost and the list the better ranked.
/// </remarks>
internal static class MergeScores
{
    public static float[] From(string file, TokenTable table, IReadOnlyList<Merge> merges)
    {
        int[] place = new int[table.Size];
        Array.Fill(place, -1);
        int made = 0;
        int current = -1;
        foreach (Merge merge in merges)
        {
            if (merge.Result == current) continue;
            current = merge.Result;
            if (place[current] < 0) place[current] = made++;
            else throw Refuse(file, $"\"{table[current]}\" is made at ranks with other tokens between them");
        }
        RefuseUnlistedPairs(file, table, merges, place);
        return Array.ConvertAll(place, at => -(float)(at < 0 ? made : at));
    }

    private static void RefuseUnlistedPairs(string file, TokenTable table, IReadOnlyList<Merge> merges, int[] place)
    {
        HashSet<(int, int)> listed = [.. merges.Select(merge => (merge.Left, merge.Right))];
        TextHashes hashes = new(LongestToken(table));
        Dictionary<ulong, int> parts = [];
        for (int id = 0; id < table.Size; id++)
        {
            // A part is a token that joining can have made, or one character.
            if (table[id] is { } text && (place[id] >= 0 || IsCharacter(text))) parts[TextHashes.Of(text)] = id;
        }
        for (int id = 0; id < table.Size; id++)
        {
            if (table[id] is not { } text || table.KindOf(id) is not TokenKind.Normal) continue;
            foreach ((ulong left, ulong right) in hashes.Cuts(text))
            {
                if (parts.TryGetValue(left, out int l) && parts.TryGetValue(right, out int r) && !listed.Contains((l, r)))
                {
                    throw Refuse(file, $"\"{table[l]}\" and \"{table[r]}\" are not merged, though \"{text}\" is a token");
                }
            }
        }
    }

    private static bool IsCharacter(string text) => text.Length == 1 || (text.Length == 2 && char.IsSurrogatePair(text, 0));

    private static int LongestToken(TokenTable table)
    {
        int longest = 0;
        for (int id = 0; id < table.Size; id++) longest = Math.Max(longest, table[id]?.Length ?? 0);
        return longest;
    }

    private static UnsupportedModelException Refuse(string file, string what) => new($"{file}: model.merges: {what}; llama.cpp, which goes by scores, cannot reproduce that");
}
