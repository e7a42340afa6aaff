namespace NativeBigModel.Tokenizers;

/// <summary>Token ids as the model's config.json gives them: a fallback where the tokenizer's own files say nothing.</summary>
internal sealed record TokenIds(int? Bos, int? Eos, int? Pad);

/// <summary>Finds the ids of BOS, EOS, PAD and UNK: tokenizer_config.json before special_tokens_map.json, generation_config.json and config.json.</summary>
internal sealed class SpecialTokens(TokenTable table, TokenizerFiles files, TokenIds config)
{
    /// <summary>Null where tokenizer_config.json says null: such a tokenizer has no BOS, whatever the model's configuration holds.</summary>
    public int? Bos => ByText("bos_token") ?? (SaysNull("bos_token") ? null : ById("bos_token_id") ?? Checked("bos_token_id", config.Bos));

    public int? Eos => ByText("eos_token") ?? ById("eos_token_id") ?? Checked("eos_token_id", config.Eos);

    public int? Unknown => ByText("unk_token");

    // Padding takes no part in inference, and folders that name a row beyond the embedding are common.
    public int? Padding => ByText("pad_token") ?? InRange(ById("pad_token_id", check: false)) ?? InRange(config.Pad);

    private bool SaysNull(string name) => files.Config is { } settings && settings.Has(name) && settings.Find(name) is null;

    private int? ByText(string name) => IdOf(files.Config?.Find(name)) ?? IdOf(files.SpecialTokensMap?.Find(name));

    private int? IdOf(JsonField? token) => TokenizerFiles.Spelling(token) is { } text ? table.Find(text) : null;

    private int? ById(string name, bool check = true)
    {
        if (files.GenerationConfig?.Find(name) is not { } field) return null;
        int? id = null;
        if (!field.IsArray) id = field.Integer();
        else foreach (JsonField item in field.Items()) { id = item.Integer(); break; }
        if (check && id >= table.Size) throw field.Error($"token id {id}, and the model has {table.Size} tokens");
        return id < 0 ? null : id;
    }

    private int? InRange(int? id) => id >= 0 && id < table.Size ? id : null;

    // -1 is a common spelling of "none".
    private int? Checked(string name, int? id)
    {
        if (id >= table.Size) throw new CheckpointException("config.json", name, $"token id {id}, and the model has {table.Size} tokens");
        return InRange(id);
    }
}
