using System.Runtime.InteropServices;

namespace NativeBigModel.Tokenizers;

/// <summary>One BPE merge, by token ids.</summary>
internal readonly record struct Merge(int Left, int Right, int Result);

/// <summary>The merge list of a tokenizer.json, checked against its vocabulary.</summary>
internal static class Merges
{
    /// <summary>In rank order. Where a pair stands twice, the later rank counts (huggingface/tokenizers, models/bpe/model.rs).</summary>
    public static List<Merge> Read(JsonField model, TokenTable table)
    {
        List<Merge?> ranked = [];
        Dictionary<(int, int), int> ranks = [];
        foreach (JsonField item in model.Get("merges").Items())
        {
            (string left, string right) = Split(item);
            Merge merge = new(Token(item, table, left), Token(item, table, right), Token(item, table, left + right));
            ref int rank = ref CollectionsMarshal.GetValueRefOrAddDefault(ranks, (merge.Left, merge.Right), out bool again);
            if (again) ranked[rank] = null;
            rank = ranked.Count;
            ranked.Add(merge);
        }
        return [.. ranked.OfType<Merge>()];
    }

    private static (string Left, string Right) Split(JsonField item)
    {
        if (item.IsArray)
        {
            return item.Items().ToList() is [var left, var right] ? (left.Text(), right.Text()) : throw item.Error("not a pair of tokens");
        }
        string text = item.Text();
        int space = text.IndexOf(' ', StringComparison.Ordinal);
        return space >= 0 && text.IndexOf(' ', space + 1) < 0 ? (text[..space], text[(space + 1)..]) : throw item.Error($"\"{text}\" is not two tokens with one space between them");
    }

    private static int Token(JsonField item, TokenTable table, string text) =>
        table.Find(text) ?? throw item.Error($"\"{text}\" is not among the vocabulary's {table.Size} tokens");
}
