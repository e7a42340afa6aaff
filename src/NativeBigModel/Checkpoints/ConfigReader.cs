using System.Text.Json;

namespace NativeBigModel.Checkpoints;

/// <summary>
/// Typed, range-checked access to one JSON object of an untrusted file. A value of the wrong kind or outside its range is a
/// <see cref="CheckpointException"/> that names the file, the key and the value; JSON null counts as absent, as it does for transformers.
/// </summary>
internal sealed class ConfigReader
{
    private readonly string _file;
    private readonly string _path;
    private readonly JsonElement _object;

    public ConfigReader(string file, string path, JsonElement element)
    {
        (_file, _path, _object) = (file, path, element);
        if (element.ValueKind != JsonValueKind.Object) throw new CheckpointException(file, path.Length == 0 ? "root" : path, $"must be a JSON object and is {element.ValueKind}");
    }

    /// <summary>Whether the weights hold an output projection that is not the embedding, whatever the configuration says of it.</summary>
    public bool HasOwnOutput { get; private init; }

    /// <summary>Whether it is of the text part of a model that has others.</summary>
    public bool IsTextPart { get; private init; }

    // Read where this one has nothing.
    private ConfigReader? Behind { get; init; }

    /// <summary>The same of a model whose weights hold one.</summary>
    public ConfigReader WithOwnOutput() => new(_file, _path, _object) { HasOwnOutput = true, IsTextPart = IsTextPart, Behind = Behind };

    /// <summary>The same as a text part's.</summary>
    public ConfigReader AsTextPart() => new(_file, _path, _object) { HasOwnOutput = HasOwnOutput, IsTextPart = true, Behind = Behind };

    /// <summary>This one and, for what it has not, another.</summary>
    public ConfigReader Then(ConfigReader other) => new(_file, _path, _object) { HasOwnOutput = HasOwnOutput, IsTextPart = IsTextPart, Behind = Behind?.Then(other) ?? other };

    public CheckpointException Error(string key, string problem) => new(_file, Field(key), problem);

    public bool Has(string key) => Find(key) is not null;

    /// <summary>Whether the value is a number.</summary>
    public bool IsNumber(string key) => Find(key) is { ValueKind: JsonValueKind.Number };

    /// <summary>The first of some spellings of a key that is there; the first of all where none is.</summary>
    public string FirstOf(params ReadOnlySpan<string> keys)
    {
        foreach (string key in keys)
        {
            if (Has(key)) return key;
        }
        return keys[0];
    }

    /// <summary>Whether the key is there at all, with null as its value or not.</summary>
    public bool Mentions(string key) => _object.TryGetProperty(key, out _) || (Behind?.Mentions(key) ?? false);

    public int Int(string key, int min = 1, int max = int.MaxValue) => OptionalInt(key, min, max) ?? throw Missing(key);

    public int? OptionalInt(string key, int min = 1, int max = int.MaxValue) =>
        Find(key) is { } value ? (int)Integer(key, value, min, max) : null;

    /// <summary>A finite number that a 32-bit float can hold.</summary>
    public float? OptionalFloat(string key, float min, float max) => Find(key) is { } value ? Real(key, value, min, max) : null;

    public IEnumerable<float> Floats(string key, float min, float max)
    {
        if (!Has(key)) throw Missing(key);
        return Items(key).Select(item => Real(key, item, min, max));
    }

    private float Real(string key, JsonElement value, float min, float max)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number)) throw Error(key, $"must be a number and is {Show(value)}");
        if (!(number >= min && number <= max)) throw Error(key, $"is {Show(value)} and must lie in [{min}, {max}]");
        return (float)number;
    }

    public float Float(string key, float min, float max) => OptionalFloat(key, min, max) ?? throw Missing(key);

    public bool? OptionalBool(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } value => throw Error(key, $"must be true or false and is {Show(value)}"),
    };

    public string String(string key) => OptionalString(key) ?? throw Missing(key);

    public string? OptionalString(string key)
    {
        if (Find(key) is not { } value) return null;
        if (value.ValueKind != JsonValueKind.String) throw Error(key, $"must be a string and is {Show(value)}");
        return Text(key, value);
    }

    public ConfigReader? OptionalObject(string key) => Find(key) is { } value ? new ConfigReader(_file, Field(key), value) : null;

    public IEnumerable<string> Strings(string key) => Items(key).Select(item =>
        item.ValueKind == JsonValueKind.String ? Text(key, item) : throw Error(key, $"must hold strings and holds {Show(item)}"));

    public IEnumerable<long> Integers(string key, long min, long max)
    {
        if (!Has(key)) throw Missing(key);
        return Items(key).Select(item => Integer(key, item, min, max));
    }

    /// <summary>An integer or, as with several end-of-sequence tokens, the first of a list; null where absent or empty.</summary>
    public int? FirstInt(string key, int min, int max)
    {
        if (Find(key) is not { } value) return null;
        if (value.ValueKind != JsonValueKind.Array) return (int)Integer(key, value, min, max);
        JsonElement first = value.EnumerateArray().FirstOrDefault();
        return first.ValueKind == JsonValueKind.Undefined ? null : (int)Integer(key, first, min, max);
    }

    public IEnumerable<KeyValuePair<string, JsonElement>> Entries() =>
        _object.EnumerateObject().Select(entry => KeyValuePair.Create(JsonFile.NameOf(_file, _path.Length == 0 ? "root" : _path, entry), entry.Value));

    /// <summary>The entries of an object of strings: to look each up by its name would go through all of them each time.</summary>
    public IEnumerable<KeyValuePair<string, string>> StringEntries() => Entries().Select(entry => KeyValuePair.Create(entry.Key, entry.Value.ValueKind switch
    {
        JsonValueKind.String => Text(entry.Key, entry.Value),
        JsonValueKind.Null => throw Missing(entry.Key),
        _ => throw Error(entry.Key, $"must be a string and is {Show(entry.Value)}"),
    }));

    private IEnumerable<JsonElement> Items(string key)
    {
        if (Find(key) is not { } value) return [];
        if (value.ValueKind != JsonValueKind.Array) throw Error(key, $"must be an array and is {Show(value)}");
        return value.EnumerateArray();
    }

    private long Integer(string key, JsonElement value, long min, long max)
    {
        if (value.ValueKind != JsonValueKind.Number) throw Error(key, $"must be a whole number and is {Show(value)}");
        if (!value.TryGetInt64(out long number))
        {
            // Python writes some whole numbers as 1e6 or 4096.0.
            if (!value.TryGetDouble(out double real) || real != Math.Floor(real) || Math.Abs(real) > 1L << 53) throw Error(key, $"must be a whole number and is {Show(value)}");
            number = (long)real;
        }
        if (number < min || number > max) throw Error(key, $"is {number} and must lie in [{min}, {max}]");
        return number;
    }

    // JSON can spell half a surrogate pair, which no string of this platform can hold.
    private string Text(string key, JsonElement value)
    {
        try { return value.GetString()!; }
        catch (InvalidOperationException error) { throw new CheckpointException(_file, Field(key), "is not valid Unicode", error); }
    }

    private JsonElement? Find(string key) => _object.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : Behind?.Find(key);

    private CheckpointException Missing(string key) => Error(key, "is missing");

    private string Field(string key) => _path.Length == 0 ? key : $"{_path}.{key}";

    private static string Show(JsonElement value)
    {
        string text = value.GetRawText();
        return text.Length <= 60 ? text : text[..60] + "...";
    }
}
