using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// SentencePiece's precompiled_charsmap: a double array of 32-bit units (darts-clone), the trie of what is replaced, then the replacements, each ended by NUL
/// (google/sentencepiece, src/normalizer.cc). Applied as huggingface/tokenizers does (spm_precompiled): to a grapheme cluster of fewer than 6 bytes as a whole,
/// where any beginning of it is listed, else to its characters one by one.
/// </summary>
internal sealed class PrecompiledMap
{
    private const int LongestCluster = 6; // bytes, and this many no more

    private readonly uint[] _units;
    private readonly byte[] _replacements;

    private PrecompiledMap(uint[] units, byte[] replacements) => (_units, _replacements) = (units, replacements);

    /// <summary>Reads the Base64 of tokenizer.json.</summary>
    public static PrecompiledMap Read(JsonField base64) => Parse(Decode(base64), base64.Error);

    /// <summary>The bytes of the map in a tokenizer.json's normalizer; null where there is none.</summary>
    public static byte[]? Find(JsonField tokenizer)
    {
        foreach (JsonField step in tokenizer.Find("normalizer") is { } root ? TextNormalizer.Flatten(root) : [])
        {
            if (step.Get("type").Text() is "Precompiled") return Decode(step.Get("precompiled_charsmap"));
        }
        return null;
    }

    /// <param name="bytes">The length of the units in bytes, the units, the replacements. All little endian.</param>
    /// <param name="error">Says where they stand.</param>
    /// <exception cref="CheckpointException">The trie leads out of the array, or a replacement has no end.</exception>
    public static PrecompiledMap Parse(ReadOnlySpan<byte> bytes, Func<string, CheckpointException> error)
    {
        if (bytes.Length < 4) throw error($"{bytes.Length} bytes, and at least 4 are needed");
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (size == 0 || size % 4 != 0 || size >= bytes.Length - 4) throw error($"a trie of {size} bytes, and {bytes.Length - 4} are there for it and its replacements");
        uint[] units = new uint[size / 4];
        for (int i = 0; i < units.Length; i++) units[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 + 4 * i)..]);
        PrecompiledMap map = new(units, bytes[(4 + (int)size)..].ToArray());
        map.Check(error);
        return map;
    }

    public string Apply(string text)
    {
        StringBuilder mapped = new(text.Length);
        TextElementEnumerator clusters = StringInfo.GetTextElementEnumerator(text);
        while (clusters.MoveNext())
        {
            string cluster = clusters.GetTextElement();
            byte[] utf8 = Encoding.UTF8.GetBytes(cluster);
            if (utf8.Length < LongestCluster && Find(utf8) is { } whole)
            {
                mapped.Append(whole);
                continue;
            }
            foreach (Rune rune in cluster.EnumerateRunes()) mapped.Append(Find(Encoding.UTF8.GetBytes(rune.ToString())) ?? rune.ToString());
        }
        return mapped.ToString();
    }

    private static byte[] Decode(JsonField base64)
    {
        byte[] bytes = new byte[base64.Text().Length];
        return Convert.TryFromBase64String(base64.Text(), bytes, out int length) ? bytes[..length] : throw base64.Error("not Base64");
    }

    // The replacement of the shortest listed beginning.
    private string? Find(ReadOnlySpan<byte> text)
    {
        uint at = Offset(_units[0]);
        foreach (byte letter in text)
        {
            if (letter == 0) return null;
            at ^= letter;
            uint unit = _units[at];
            if (Label(unit) != letter) return null;
            at ^= Offset(unit);
            if (HasLeaf(unit)) return Replacement(Value(_units[at]));
        }
        return null;
    }

    private string Replacement(uint start)
    {
        ReadOnlySpan<byte> rest = _replacements.AsSpan((int)start);
        return Encoding.UTF8.GetString(rest[..rest.IndexOf((byte)0)]);
    }

    // Every unit that some text can reach, and what it leads to; so that neither this class nor llama.cpp ever reads beyond the end.
    private void Check(Func<string, CheckpointException> error)
    {
        if (_replacements[^1] != 0) throw error("the last replacement has no end");
        bool[] seen = new bool[_units.Length];
        Stack<uint> open = new([Offset(_units[0])]);
        while (open.TryPop(out uint node))
        {
            if ((node | 0xFF) >= _units.Length) throw error($"the trie leads to unit {node | 0xFF} of {_units.Length}");
            for (uint letter = 1; letter < 256; letter++)
            {
                uint at = node ^ letter, unit = _units[at];
                if (Label(unit) != letter || seen[at]) continue;
                seen[at] = true;
                uint next = at ^ Offset(unit);
                if (next >= _units.Length) throw error($"the trie leads to unit {next} of {_units.Length}");
                if (HasLeaf(unit) && Value(_units[next]) >= _replacements.Length) throw error($"a replacement at byte {Value(_units[next])} of {_replacements.Length}");
                open.Push(next);
            }
        }
    }

    // darts-clone, DoubleArrayUnit.
    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & (1u << 9)) >> 6);

    private static uint Label(uint unit) => unit & ((1u << 31) | 0xFF);

    private static bool HasLeaf(uint unit) => ((unit >> 8) & 1) == 1;

    private static uint Value(uint unit) => unit & ((1u << 31) - 1);
}
