using NativeBigModel.Chat;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>Checks a GGUF's vocabulary for all that llama.cpp asserts while it loads one or encodes a text (llama-vocab.cpp).</summary>
internal static class GgufVocabulary
{
    /// <summary>The default chat template; others are behind it, after a point.</summary>
    public const string ChatTemplateKey = "tokenizer.chat_template";

    private const int ByteType = 6;

    private static readonly (string Name, string Key)[] s_named =
        [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("sep_token", "seperator"), ("pad_token", "padding"), ("cls_token", "cls"), ("mask_token", "mask")];

    // BOS, EOS and separator that llama.cpp assumes where a file has none; -1 where it assumes none.
    private static readonly Dictionary<string, (int Bos, int Eos, int Separator)> s_defaults = new(StringComparer.Ordinal)
    {
        ["llama"] = (1, 2, -1), ["bert"] = (101, -1, 102), ["gpt2"] = (11, 11, -1), ["hybriddna"] = (11, 11, -1), ["whitespace"] = (11, 11, -1),
        ["t5"] = (-1, 1, -1), ["gemma4"] = (-1, -1, -1),
    };

    /// <exception cref="CheckpointException">The lists contradict each other, or an id lies outside them.</exception>
    public static void Check(GgufKeys keys, int size)
    {
        int count = keys.ArrayLength("tokenizer.ggml.tokens") ?? 0;
        foreach (string list in (string[])["tokenizer.ggml.scores", "tokenizer.ggml.token_type"])
        {
            if (keys.ArrayLength(list) is { } length && length < count) throw keys.Error(list, $"has {length} entries for {count} tokens");
        }
        foreach (string key in keys.Names.Where(key => key.StartsWith("tokenizer.ggml.", StringComparison.Ordinal) && key.EndsWith("_token_id", StringComparison.Ordinal)))
        {
            if (keys.Long(key) is { } value && value >= Math.Max(count, size) && value != uint.MaxValue) throw keys.Error(key, $"is {value}, and there are {count} tokens");
        }
        string model = keys.String("tokenizer.ggml.model") ?? throw keys.Error("tokenizer.ggml.model", "is missing; a file without a tokenizer says 'none'");
        if (model is "none" or "no_vocab") return;
        string[] tokens = keys.Strings("tokenizer.ggml.tokens") ?? throw keys.Error("tokenizer.ggml.tokens", $"is missing, and the tokenizer is '{model}'");
        RequireDistinct(keys, tokens);
        RequireFinite(keys);
        RequireAddedIds(keys, model, count);
        if (model == "llama") RequireByteTokens(keys, tokens);
        RequireCharacterMap(keys);
        if (TextRules.Read(keys, tokens.Length) is { } rules) TextNormalizer.Parse(keys.File, rules.Normalizer);
        if (model == "bert" && keys.Integers("tokenizer.ggml.token_type") is { } types && Array.IndexOf(types, ByteType) is >= 0 and var at)
            throw keys.Error("tokenizer.ggml.token_type", $"is {ByteType} for token {at}, and a 'bert' tokenizer has no byte tokens");
    }

    /// <summary>What our own converter wrote down of the tokenizer, or the names in the file say of it; null where that is nothing.</summary>
    public static TextPreparation? ReadPreparation(GgufKeys keys)
    {
        PreTokenizer? words = keys.String("tokenizer.ggml.model") is "gpt2" ? PreTokenizers.Find(keys.String("tokenizer.ggml.pre")) : null;
        if (keys.Strings("tokenizer.ggml.tokens") is not { } tokens || (TextRules.Read(keys, tokens.Length) ?? TextRules.ImpliedBy(words)) is not { } rules) return null;
        TokenKind[] kinds = Kinds(keys, tokens.Length);
        return new(keys.File, tokens, kinds, rules, words, UnigramPath.For(keys.String("tokenizer.ggml.model"), tokens, kinds, keys.Floats("tokenizer.ggml.scores")));
    }

    private static TokenKind[] Kinds(GgufKeys keys, int count) => keys.Integers("tokenizer.ggml.token_type") is { } kinds
        ? [.. kinds.Take(count).Select(kind => (TokenKind)kind)]
        : [.. Enumerable.Repeat(TokenKind.Normal, count)];

    /// <summary>The chat templates, in the keys of gguf-py.</summary>
    /// <exception cref="CheckpointException">One is no text.</exception>
    public static IReadOnlyDictionary<string, string> ReadChatTemplates(GgufKeys keys)
    {
        Dictionary<string, string> templates = new(StringComparer.Ordinal);
        foreach (string key in keys.Names.Where(key => key.StartsWith(ChatTemplateKey + ".", StringComparison.Ordinal))) templates[key[(ChatTemplateKey.Length + 1)..]] = keys.String(key)!;
        if (keys.String(ChatTemplateKey) is { } template) templates[ChatTemplate.DefaultName] = template;
        return templates;
    }

    /// <summary>What chat templates need of the vocabulary.</summary>
    public static ChatTokens ReadChatTokens(GgufKeys keys)
    {
        if (keys.Strings("tokenizer.ggml.tokens") is not { } tokens) return ChatTokens.None;
        TokenKind[] kinds = Kinds(keys, tokens.Length);
        Dictionary<string, string> named = [];
        foreach ((string name, string key) in s_named)
        {
            // A token that stands in for a missing one is never special.
            if (keys.Long($"tokenizer.ggml.{key}_token_id") is { } id && id < tokens.Length && kinds[id] is not (TokenKind.Normal or TokenKind.Byte)) named[name] = tokens[id];
        }
        return new(named, tokens, kinds);
    }

    // llama.cpp throws through its C interface where a map leads out of itself.
    private static void RequireCharacterMap(GgufKeys keys)
    {
        const string key = "tokenizer.ggml.precompiled_charsmap";
        if (keys.Bytes(key) is { Length: > 0 } map) PrecompiledMap.Parse(map, problem => keys.Error(key, problem));
    }

    // llama.cpp reads C strings, names empty ones after their id, and asserts that all differ.
    private static void RequireDistinct(GgufKeys keys, string[] tokens)
    {
        var ids = new Dictionary<string, int>(tokens.Length, StringComparer.Ordinal);
        for (int i = 0; i < tokens.Length; i++)
        {
            if (tokens[i].Contains('\0', StringComparison.Ordinal)) throw keys.Error("tokenizer.ggml.tokens", $"token {i} holds a NUL");
            if (!ids.TryAdd(tokens[i].Length > 0 ? tokens[i] : $"[EMPTY_{i}]", i)) throw keys.Error("tokenizer.ggml.tokens", $"tokens {ids[tokens[i].Length > 0 ? tokens[i] : $"[EMPTY_{i}]"]} and {i} are the same");
        }
    }

    private static void RequireFinite(GgufKeys keys)
    {
        float[] scores = keys.Floats("tokenizer.ggml.scores") ?? [];
        for (int i = 0; i < scores.Length; i++)
        {
            if (!float.IsFinite(scores[i])) throw keys.Error("tokenizer.ggml.scores", $"is {scores[i]} for token {i}, and must be finite");
        }
    }

    // A token that is to stand around a text must be known.
    private static void RequireAddedIds(GgufKeys keys, string model, int count)
    {
        if (!s_defaults.TryGetValue(model, out (int Bos, int Eos, int Separator) defaults)) return;
        void Require(string id, string flag, int assumed, bool otherwise)
        {
            bool known = keys.Long($"tokenizer.ggml.{id}_token_id") is { } given && given < count || (assumed >= 0 && assumed < count);
            if (!known && (keys.Flag(flag) ?? otherwise)) throw keys.Error($"tokenizer.ggml.{id}_token_id", $"is missing, and the '{model}' tokenizer of {count} tokens adds it to texts");
        }
        // The pre-tokenizer may turn BOS on, and Gemma's does so whatever the flag says.
        Require("bos", model == "gemma4" ? "" : "tokenizer.ggml.add_bos_token", defaults.Bos, model != "t5");
        Require("eos", "tokenizer.ggml.add_eos_token", defaults.Eos, model == "t5");
        Require("seperator", "tokenizer.ggml.add_sep_token", defaults.Separator, model == "bert");
    }

    // llama.cpp throws through its C interface, and so ends the process, when a text needs a byte token that is not there.
    private static void RequireByteTokens(GgufKeys keys, string[] tokens)
    {
        HashSet<string> texts = [.. tokens];
        for (int b = 0; b < 256; b++)
        {
            if (!texts.Contains($"<0x{b:X2}>")) throw keys.Error("tokenizer.ggml.tokens", $"has no token <0x{b:X2}>, and a SentencePiece vocabulary needs all 256");
        }
    }
}
