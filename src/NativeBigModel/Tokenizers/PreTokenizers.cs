namespace NativeBigModel.Tokenizers;

/// <summary>
/// What llama.cpp does under one of its pre-tokenizer names (llama-vocab.cpp, llama_vocab::impl::load and llm_tokenizer_bpe).
/// </summary>
/// <param name="Name">The value of tokenizer.ggml.pre.</param>
/// <param name="Rules">The splitting rules of the tokenizer.json that the name stands for, one per line.</param>
/// <param name="IgnoreMerges">Whether a word that is a token is taken whole, without its merges.</param>
/// <param name="AddsBos">Whether BOS stands before a text where a file says nothing of it.</param>
/// <param name="CleanSpaces">Whether llama_detokenize removes spaces before punctuation.</param>
/// <param name="Nfc">Whether the tokenizers that carry the name normalise to NFC, which llama.cpp leaves to its caller.</param>
/// <param name="MissesDigitRuns">Whether llama.cpp leaves out the rule that cuts the byte alphabet's digits from other letters; merges across that border must go, which then has the same effect.</param>
internal sealed record PreTokenizer(string Name, string Rules, bool IgnoreMerges = false, bool AddsBos = false, bool CleanSpaces = false, bool Nfc = false, bool MissesDigitRuns = false);

/// <summary>llama.cpp's pre-tokenizers by what they do; which model a tokenizer belongs to plays no part.</summary>
internal static class PreTokenizers
{
    private const string Gpt2 = SplittingRules.Gpt2;
    private const string Digits = SplittingRules.EachDigit + "\n" + Gpt2;
    private const string Tail = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Contractions = SplittingRules.AnyCase;
    private const string Word = @"|[^\r\n\p{L}\p{N}]?\p{L}+";
    public const string Llama3 = Contractions + Word + @"|\p{N}{1,3}" + Tail;
    public const string Qwen2 = Contractions + Word + @"|\p{N}" + Tail;
    private const string Qwen35 = Contractions + @"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Upper = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+";
    private const string Lower = @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*";
    private const string TailWithSlash = @"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Tekken = Upper + Lower + @"|\p{N}" + TailWithSlash;
    private const string O200k = Upper + Contractions + "?" + Lower + Contractions + @"?|\p{N}{1,3}" + TailWithSlash;
    private const string Youtu = "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + Ideographs + "\n" + Upper + Contractions + "?" + Lower + Contractions + @"?|\p{N}" + TailWithSlash;
    private const string DeepSeek3 = """
        \p{N}{1,3}
        [一-龥぀-ゟ゠-ヿ]+
        [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
        """;
    private const string DeepSeekCoder = """
        [\r\n]
        \s?\p{L}+
        \s?\p{P}+
        [一-龥ࠀ-一가-퟿]+
        \p{N}
        """;
    // The letters that have a case, as of the Unicode version that the model was made with.
    private const string Cased = "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"
        + "\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
        + "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4"
        + "\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134"
        + "\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
        + "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a";
    // From ':' to '~' there are letters too, which so are cut from those with accents once more.
    private const string DeepSeekLlm = "[\\r\\n]\n\\s?[" + Cased + SplittingRules.CasedBeyondBmp + "]+\n"
        + "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+\n\\s+$\n[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+\n";
    private const string Bloom = @" ?[^(\s|[.,!?…。，、।۔،])]+";
    private const string Jais2 = Contractions + Word + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        + @"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}";

    // As Kimi's own code spells it, for the expressions of Rust: sets intersected, and a script.
    public const string Kimi = @"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" + Contractions
        + @"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*" + Contractions + @"?|\p{N}{1,3}" + Tail;
    private const string Afmoe = SplittingRules.DigitChunks + "\n" + """
        \A\p{Nd}{1,2}(?=\p{Nd}{3}+\z)
        \A\p{Nd}{3}|\G\p{Nd}{3}
        (?:[\u4E00-\u9FFF\u3040-\u309F\u30A0-\u30FF\u3400-\u4DBF\uf900-\uFAFF\uFF65-\uFF9F\u2F00-\u2FDF]+|[\u0E00-\u0E7F]+|[\u0E80-\u0EFF]+|[\u1780-\u17FF]+|[\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF]+|[\uAC00-\uD7AF\u1100-\u11FF]+)
        [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
        """;

    private const string Ideographs = "[一-龥぀-ゟ゠-ヿ]+";
    private const string Spark = """
        \p{N}{1,3}
        [一-龥぀-ゟ゠-ヿ]+
        [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+
        \p{N}
        """;
    private const string Chameleon = """
        <sentinel:[0-9]+>
        (IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z
        ([\t\n]|    |  )
        """ + "\n" + SplittingRules.EachDigit + "\n" + SplittingRules.EachPunctuation + "\n" + Gpt2;

    private const string Falcon = SplittingRules.PunctuationRuns + "\n" + Gpt2 + "\n" + SplittingRules.DigitRuns + "\n[0-9][0-9][0-9]";

    // Of names with equal effect the first is chosen; the others stand here because a GGUF file may bring them.
    private static readonly PreTokenizer[] s_known =
    [
        new("gpt-2", Gpt2, CleanSpaces: true),
        new("granite-docling", Gpt2),
        new("olmo", Gpt2, CleanSpaces: true, Nfc: true),
        new("mpt", Gpt2, CleanSpaces: true, Nfc: true),
        new("exaone4", Gpt2, CleanSpaces: true, Nfc: true),
        new("smollm", Digits),
        new("starcoder", Digits, CleanSpaces: true),
        new("command-r", Digits, Nfc: true),
        new("llama-bpe", Llama3, IgnoreMerges: true, AddsBos: true, CleanSpaces: true),
        new("smaug-bpe", Llama3, CleanSpaces: true),
        new("qwen2", Qwen2, Nfc: true),
        new("grok-2", Qwen2),
        new("deepseek-r1-qwen", Qwen2, Nfc: true),
        new("f2llmv2", Qwen2, Nfc: true),
        new("megrez", Qwen2, CleanSpaces: true, Nfc: true),
        new("qwen35", Qwen35, Nfc: true),
        new("tekken", Tekken, IgnoreMerges: true, AddsBos: true),
        new("gpt-4o", O200k),
        new("deepseek-v3", DeepSeek3),
        new("deepseek-coder", DeepSeekCoder),
        new("deepseek-llm", DeepSeekLlm + SplittingRules.EachDigit),
        new("deepseek-llm", DeepSeekLlm + SplittingRules.DigitRuns), // no token of it has two digits, so that this comes to the same
        new("afmoe", Afmoe),
        new("kimi-k2", Kimi, IgnoreMerges: true), // llama.cpp goes by merges alone; Kimi's own code takes a word that is a token whole, and not every token is reached
        new("falcon", Falcon, CleanSpaces: true, MissesDigitRuns: true),
        new("bloom", Bloom, CleanSpaces: true),
        new("poro-chat", Bloom),
        new("viking", Bloom + "\n" + SplittingRules.EachDigit),
        new("seed-coder", Contractions + Word + @"|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"),
        new("bailingmoe", @"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"),
        new("exaone-moe", Contractions + @"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"),
        new("jais-2", Jais2, CleanSpaces: true),
        new("minicpm5", @"\p{N}{1,3}" + "\n" + Contractions + Word + @"|\p{N}+" + Tail, IgnoreMerges: true, CleanSpaces: true),
        new("granite-embed-multi-97m", O200k, IgnoreMerges: true),
        new("tiny_aya", @"\d{1,3}(?=(?:\d{3})*\b)" + "\n" + O200k),
        new("youtu", Youtu, IgnoreMerges: true),
        new("spark2_5", Spark),
        new("laguna", @"[^\n]+|[\n]+" + "\n" + Qwen2),
        new("superbpe", SplittingRules.DigitRuns + "\n" + @"(?=(\d{3})+(?!\d))"),
        new("chameleon", Chameleon, AddsBos: true),
        new("ufakzeka", @"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + Tail),
    ];

    // Names that GGUF files bear, by the one above that does the same.
    private static readonly Dictionary<string, string> s_aliases = new[]
    {
        ("llama-bpe", "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"),
        ("smaug-bpe", "dbrx glm4 chatglm-bpe"),
        ("gpt-2", "phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jais trillion jina-v1-en jina-v2-code roberta-bpe"),
        ("starcoder", "refact codeshell exaone minerva-7b mellum2"),
        ("qwen2", "kormo"), ("grok-2", "stablelm2 hunyuan solar-open"),
        ("deepseek-v3", "hunyuan-dense joyai-llm hy_v4"),
        ("gpt-4o", "llama4 kanana2 talkie minimax-m2"),
        ("bloom", "gpt3-finnish"), ("bailingmoe", "bailingmoe2 llada-moe"), ("tiny_aya", "cohere2moe"),
    }.SelectMany(same => same.Item2.Split(' ').Select(alias => (alias, same.Item1))).ToDictionary(StringComparer.Ordinal);

    /// <summary>Every name that <see cref="Find"/> knows.</summary>
    public static IEnumerable<string> Names => s_known.Select(known => known.Name).Concat(s_aliases.Keys);

    /// <summary>What the name stands for, spelt with "\n" between rules; null where it is not known here.</summary>
    public static PreTokenizer? Find(string? pre)
    {
        string? name = pre is not null && s_aliases.TryGetValue(pre, out string? same) ? same : pre;
        if (Array.Find(s_known, known => known.Name == name) is not { } found) return null;
        IEnumerable<string> rules = found.Rules.ReplaceLineEndings("\n").Split('\n');
        return found with { Rules = string.Join('\n', found.MissesDigitRuns ? rules.Where(rule => rule != SplittingRules.DigitRuns) : rules) };
    }

    /// <summary>Whether texts for a tokenizer under this name are normalised to NFC first: for GGUF files, which say no more than the name.</summary>
    public static bool ImpliesNfc(string pre) => Find(pre) is { Nfc: true };

    /// <summary>The name under which llama.cpp splits by these rules; of several the one that agrees in NFC, then in clean-up.</summary>
    /// <param name="rules">From tokenizer.json.</param>
    /// <param name="ignoreMerges">The model's own flag.</param>
    /// <param name="mergesReachEveryToken">Whether the merges alone lead to every token, so that <paramref name="ignoreMerges"/> makes no difference; asked only where it matters.</param>
    /// <param name="cleanSpaces">tokenizer_config.json's clean_up_tokenization_spaces.</param>
    /// <exception cref="UnsupportedModelException">llama.cpp has no such rules, or has them only with the other treatment of merges.</exception>
    public static PreTokenizer Choose(SplittingRules rules, bool ignoreMerges, Func<bool> mergesReachEveryToken, bool cleanSpaces)
    {
        string wanted = string.Join('\n', rules.Rules);
        List<PreTokenizer> same = [.. s_known.Where(known => known.Rules.ReplaceLineEndings("\n") == wanted)];
        if (same.Count == 0) throw new UnsupportedModelException($"{TokenizerFiles.TokenizerJson}: pre_tokenizer: llama.cpp has no pre-tokenizer that splits by {string.Join(" then ", rules.Rules)}");
        List<PreTokenizer> able = [.. same.Where(known => known.IgnoreMerges == ignoreMerges)];
        if (able.Count == 0 && mergesReachEveryToken()) able = same;
        return able.OrderByDescending(known => known.Nfc == rules.NormalizeNfc).ThenByDescending(known => known.CleanSpaces == cleanSpaces).FirstOrDefault()
            ?? throw new UnsupportedModelException(
                $"{TokenizerFiles.TokenizerJson}: model.ignore_merges: {ignoreMerges}, but llama.cpp's {same[0].Name} does the opposite and some tokens are not reached by merges; split by {wanted}");
    }
}
