namespace NativeBigModel.Tokenizers;

/// <summary>Whether BPE's merges, applied to a token's own text, end in that token: where they do for all tokens, ignore_merges changes nothing.</summary>
internal static class MergeReach
{
    public static bool ReachesAll(TokenTable table, IReadOnlyList<Merge> merges)
    {
        Dictionary<(int, int), (int Rank, int Result)> ranks = [];
        for (int rank = 0; rank < merges.Count; rank++) ranks[(merges[rank].Left, merges[rank].Right)] = (rank, merges[rank].Result);
        for (int id = 0; id < table.Size; id++)
        {
            if (table[id] is { } text && table.KindOf(id) is TokenKind.Normal && ByteAlphabet.Spells(text) && !Reaches(table, ranks, text)) return false;
        }
        return true;
    }

    // n log n in the token's length: the queue holds pairs by rank, then by place; a pair is stale once either side has changed.
    private static bool Reaches(TokenTable table, Dictionary<(int, int), (int Rank, int Result)> ranks, string text)
    {
        int count = text.Length;
        (int[] symbols, int[] next, int[] previous) = (new int[count], new int[count], new int[count]);
        for (int i = 0; i < count; i++)
        {
            if (table.Find(text[i].ToString()) is not { } symbol) return false;
            (symbols[i], next[i], previous[i]) = (symbol, i + 1 < count ? i + 1 : -1, i - 1);
        }
        PriorityQueue<(int Place, int Left, int Right), (int Rank, int Place)> queue = new();
        for (int i = 0; i < count; i++) Offer(i);
        int left = count;
        while (queue.TryDequeue(out (int Place, int Left, int Right) pair, out _))
        {
            int place = pair.Place;
            if (symbols[place] != pair.Left || next[place] < 0 || symbols[next[place]] != pair.Right) continue;
            int gone = next[place];
            symbols[place] = ranks[(pair.Left, pair.Right)].Result;
            symbols[gone] = -1;
            next[place] = next[gone];
            if (next[place] >= 0) previous[next[place]] = place;
            left--;
            if (previous[place] >= 0) Offer(previous[place]);
            Offer(place);
        }
        return left == 1;

        void Offer(int place)
        {
            if (next[place] < 0) return;
            (int, int) pair = (symbols[place], symbols[next[place]]);
            if (ranks.TryGetValue(pair, out (int Rank, int Result) merge)) queue.Enqueue((place, pair.Item1, pair.Item2), (merge.Rank, place));
        }
    }
}
