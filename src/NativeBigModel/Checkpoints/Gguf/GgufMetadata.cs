using System.Collections;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>
/// The key/value part of a GGUF header, in file order. Values are CLR values whose type decides the GGUF type:
/// byte, sbyte, ushort, short, uint, int, ulong, long, float, double, bool, string, and one-dimensional arrays of these; arrays of strings that come from a file are <see cref="GgufTexts"/>.
/// Format: ggml/docs/gguf.md.
/// </summary>
internal sealed class GgufMetadata : IEnumerable<KeyValuePair<string, object>>
{
    private readonly OrderedDictionary<string, object> _values = new(StringComparer.Ordinal);

    public int Count => _values.Count;

    public object this[string key]
    {
        set
        {
            if (!GgufTypes.TryGet(GgufTypes.Clr(value), out _)) throw new ArgumentException($"{value.GetType()} is not a GGUF value type", nameof(value));
            _values[key] = value;
        }
    }

    /// <summary>Sets the key where there is a value, and leaves it out otherwise.</summary>
    public void SetIfKnown<T>(string key, T? value) where T : struct
    {
        if (value is { } known) this[key] = known;
    }

    /// <summary>The value under <paramref name="key"/>, or null where the key is absent.</summary>
    public object? Find(string key) => _values.GetValueOrDefault(key);

    public void Remove(string key) => _values.Remove(key);

    public IEnumerator<KeyValuePair<string, object>> GetEnumerator() => _values.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
