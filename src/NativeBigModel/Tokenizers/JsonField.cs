using System.Text.Json;

namespace NativeBigModel.Tokenizers;

/// <summary>A value inside a JSON file that is not trusted: an accessor that meets another kind of value throws, naming file and place.</summary>
internal readonly struct JsonField
{
    private readonly string _parent;
    private readonly string? _name;
    private readonly int _index;

    private JsonField(string file, string parent, string? name, int index, JsonElement element) =>
        (File, _parent, _name, _index, Element) = (file, parent, name, index, element);

    public string File { get; }

    public JsonElement Element { get; }

    /// <summary>Where the value stands; composed on demand, because a vocabulary has a million of them.</summary>
    public string Path => _name is null ? $"{_parent}[{_index}]" : _parent.Length == 0 ? _name : $"{_parent}.{_name}";

    public bool IsString => Element.ValueKind is JsonValueKind.String;

    public bool IsArray => Element.ValueKind is JsonValueKind.Array;

    public bool IsObject => Element.ValueKind is JsonValueKind.Object;

    public static JsonField Root(string file, JsonDocument document) => new(file, "", "", 0, document.RootElement);

    /// <summary>The property, or null where it is absent or JSON null.</summary>
    public JsonField? Find(string name)
    {
        Expect(JsonValueKind.Object, "an object");
        return Element.TryGetProperty(name, out JsonElement value) && value.ValueKind is not JsonValueKind.Null ? new(File, Path, name, 0, value) : null;
    }

    public JsonField Get(string name) => Find(name) ?? throw Error($"has no {name}");

    public bool Has(string name)
    {
        Expect(JsonValueKind.Object, "an object");
        return Element.TryGetProperty(name, out _);
    }

    public string Text()
    {
        Expect(JsonValueKind.String, "a string");
        try { return Element.GetString()!; }
        catch (InvalidOperationException error) { throw new CheckpointException(File, Path, "not valid Unicode", error); }
    }

    public bool Flag() => Element.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? Element.GetBoolean()
        : throw Error($"{Element.ValueKind} where true or false belongs");

    public int Integer()
    {
        Expect(JsonValueKind.Number, "a number");
        return Element.TryGetInt32(out int value) ? value : throw Error("not a 32-bit integer");
    }

    public float Real()
    {
        Expect(JsonValueKind.Number, "a number");
        return Element.TryGetSingle(out float value) && float.IsFinite(value) ? value : throw Error("not a finite number of 32 bits");
    }

    public IEnumerable<JsonField> Items()
    {
        Expect(JsonValueKind.Array, "an array");
        (string file, string path, int index) = (File, Path, 0);
        foreach (JsonElement item in Element.EnumerateArray()) yield return new(file, path, null, index++, item);
    }

    public IEnumerable<(string Name, JsonField Value)> Entries()
    {
        Expect(JsonValueKind.Object, "an object");
        (string file, string path) = (File, Path);
        foreach (JsonProperty entry in Element.EnumerateObject())
        {
            string name;
            try { name = entry.Name; }
            catch (InvalidOperationException error) { throw new CheckpointException(file, path, "holds a name that is not valid Unicode", error); }
            yield return (name, new(file, path, name, 0, entry.Value));
        }
    }

    public CheckpointException Error(string problem) => new(File, Path is "" ? "root" : Path, problem);

    private void Expect(JsonValueKind kind, string words)
    {
        if (Element.ValueKind != kind) throw Error($"{Element.ValueKind} where {words} belongs");
    }
}
