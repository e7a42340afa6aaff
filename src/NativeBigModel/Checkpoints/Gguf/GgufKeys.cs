namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>Typed, range-checked access to GGUF metadata; every failure is a <see cref="CheckpointException"/> with the key and the numbers.</summary>
internal sealed class GgufKeys(string file, GgufMetadata metadata)
{
    private const int MaxExtent = 1 << 24;

    public CheckpointException Error(string key, string problem) => new(file, key, problem);

    public string? String(string key) => metadata.Find(key) switch
    {
        null => null,
        string text => text,
        object value => throw Error(key, $"is {GgufTypes.Clr(value).Name}, and must be a string"),
    };

    /// <summary>The file's name.</summary>
    public string File => file;

    /// <summary>Every key.</summary>
    public IEnumerable<string> Names => metadata.Select(pair => pair.Key);

    public bool? Flag(string key) => metadata.Find(key) as bool?;

    public int[]? Integers(string key) => metadata.Find(key) as int[];

    public float[]? Floats(string key) => metadata.Find(key) as float[];

    public byte[]? Bytes(string key) => metadata.Find(key) switch
    {
        byte[] bytes => bytes,
        sbyte[] signed => Array.ConvertAll(signed, value => unchecked((byte)value)),
        _ => null,
    };

    public string[]? Strings(string key) => metadata.Find(key) switch
    {
        string[] texts => texts,
        GgufTexts texts => texts.Read(),
        _ => null,
    };

    public int? ArrayLength(string key) => metadata.Find(key) switch
    {
        null => null,
        Array { Length: > 0 } array => array.Length,
        GgufTexts { Count: > 0 } texts => texts.Count,
        object value => throw Error(key, $"is {GgufTypes.Clr(value).Name}, and must be an array with entries"),
    };

    public long? Long(string key) => metadata.Find(key) is { } value ? Number(key, value) : null;

    public int? Int(string key, int min, int max) => Long(key) is { } number ? InRange(key, number, min, max) : null;

    public int[]? PerLayer(string key, int layers)
    {
        if (metadata.Find(key) is not { } value) return null;
        if (value is not Array array) return [.. Enumerable.Repeat(Int(key, 0, MaxExtent)!.Value, layers)];
        if (array.Length != layers) throw Error(key, $"has {array.Length} entries for {layers} layers");
        return [.. array.Cast<object>().Select(item => InRange(key, Number(key, item), 0, MaxExtent))];
    }

    public bool[]? Flags(string key, int layers) => metadata.Find(key) switch
    {
        bool[] flags => flags.Length == layers ? flags : throw Error(key, $"has {flags.Length} entries for {layers} layers"),
        _ => null,
    };

    /// <summary>A count in place of an array of flags.</summary>
    public int? Period(string key) => metadata.Find(key) is uint count and <= int.MaxValue ? (int)count : null;

    private int InRange(string key, long number, int min, int max) =>
        number >= min && number <= max ? (int)number : throw Error(key, $"is {number}, and must lie in [{min}, {max}]");

    private long Number(string key, object value) => value switch
    {
        byte v => v,
        sbyte v => v,
        ushort v => v,
        short v => v,
        uint v => v,
        int v => v,
        ulong v when v <= long.MaxValue => (long)v,
        long v => v,
        _ => throw Error(key, $"is {GgufTypes.Clr(value).Name} {value}, and must be a whole number"),
    };
}
