namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>Value types of GGUF metadata (ggml/docs/gguf.md, gguf_metadata_value_type).</summary>
internal enum GgufValueType : uint
{
    UInt8 = 0, Int8 = 1, UInt16 = 2, Int16 = 3, UInt32 = 4, Int32 = 5, Float32 = 6, Bool = 7, String = 8, Array = 9, UInt64 = 10, Int64 = 11, Float64 = 12,
}

internal static class GgufTypes
{
    public const uint Magic = 0x46554747; // "GGUF", little endian
    public const uint WriterVersion = 3;
    public const int DefaultAlignment = 32;
    public const int MaxDimensions = 4;
    public const int MaxNameBytes = 63; // GGML_MAX_NAME less its terminator

    private static readonly Dictionary<Type, GgufValueType> s_scalars = new()
    {
        [typeof(byte)] = GgufValueType.UInt8, [typeof(sbyte)] = GgufValueType.Int8,
        [typeof(ushort)] = GgufValueType.UInt16, [typeof(short)] = GgufValueType.Int16,
        [typeof(uint)] = GgufValueType.UInt32, [typeof(int)] = GgufValueType.Int32,
        [typeof(ulong)] = GgufValueType.UInt64, [typeof(long)] = GgufValueType.Int64,
        [typeof(float)] = GgufValueType.Float32, [typeof(double)] = GgufValueType.Float64,
        [typeof(bool)] = GgufValueType.Bool, [typeof(string)] = GgufValueType.String,
    };

    /// <summary>The GGUF type that stores values of the CLR type <paramref name="clr"/>.</summary>
    public static bool TryGet(Type clr, out GgufValueType type)
    {
        if (!clr.IsArray) return s_scalars.TryGetValue(clr, out type);
        type = GgufValueType.Array;
        return s_scalars.ContainsKey(clr.GetElementType()!);
    }

    /// <summary>The CLR type of a value; that of <see cref="GgufTexts"/> is an array of strings.</summary>
    public static Type Clr(object value) => value is GgufTexts ? typeof(string[]) : value.GetType();

    /// <summary>The GGUF type of an array's elements.</summary>
    public static GgufValueType ElementType(Array array) => s_scalars[array.GetType().GetElementType()!];
}
