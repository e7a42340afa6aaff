namespace NativeBigModel.Tokenizers;

/// <summary>The tokens that tokenizer.json's post_processor puts around one text.</summary>
internal sealed class PostProcessor
{
    private PostProcessor(List<int> before, List<int> after) => (Before, After) = (before, after);

    public List<int> Before { get; }

    public List<int> After { get; }

    /// <summary>Null where no part of the post-processor adds tokens.</summary>
    public static PostProcessor? Read(JsonField tokenizer, TokenTable table)
    {
        if (tokenizer.Find("post_processor") is not { } root) return null;
        PostProcessor? around = null;
        foreach (JsonField part in Parts(root))
        {
            string type = part.Get("type").Text();
            if (type is "ByteLevel") continue;
            (List<int> before, List<int> after) = type switch
            {
                "TemplateProcessing" => Template(part, table),
                "BertProcessing" or "RobertaProcessing" => ([Pair(part.Get("cls"), table)], [Pair(part.Get("sep"), table)]),
                _ => throw new UnsupportedModelException($"{part.File}: {part.Path}: the post-processor {type}"),
            };
            around = around is null ? new(before, after) : new([.. before, .. around.Before], [.. around.After, .. after]);
        }
        return around;
    }

    private static IEnumerable<JsonField> Parts(JsonField root) =>
        root.Get("type").Text() is "Sequence" ? root.Get("processors").Items().SelectMany(Parts) : [root];

    private static (List<int> Before, List<int> After) Template(JsonField template, TokenTable table)
    {
        List<int> before = [], after = [];
        bool seen = false;
        foreach (JsonField piece in template.Get("single").Items())
        {
            if (piece.Find("Sequence") is { } sequence)
            {
                if (seen) throw sequence.Error("the text stands in the template twice");
                seen = true;
                continue;
            }
            string name = piece.Get("SpecialToken").Get("id").Text();
            foreach (JsonField id in template.Get("special_tokens").Get(name).Get("ids").Items()) (seen ? after : before).Add(Id(id, table));
        }
        return seen ? (before, after) : throw template.Error("the template has no place for the text");
    }

    private static int Pair(JsonField pair, TokenTable table) =>
        pair.Items().ToList() is [_, var id] ? Id(id, table) : throw pair.Error("not a token and its id");

    private static int Id(JsonField field, TokenTable table)
    {
        int id = field.Integer();
        return table[id] is not null ? id : throw field.Error($"token id {id} is not among the vocabulary's {table.Size} tokens");
    }
}
