using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>
/// Reads the header of an untrusted GGUF file, version 2 or 3 (ggml/docs/gguf.md). Every count is checked against the bytes that are left
/// before anything is allocated for it; tensors must lie in the file, one after the other, without overlaps or holes.
/// </summary>
internal sealed class GgufReader
{
    private const int WindowBytes = 1 << 18;
    private const int MaxTextBytes = 1 << 28;

    private static readonly UTF8Encoding s_strictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly string _file;
    private readonly FileStream _stream;
    private readonly long _length;

    // What was read of the stream and not yet asked for: a vocabulary is hundreds of thousands of small values.
    private byte[] _window = new byte[WindowBytes];
    private int _at, _end;

    private GgufReader(string path, FileStream stream) => (_file, _stream, _length) = (Path.GetFileName(path), stream, stream.Length);

    /// <exception cref="CheckpointException">The file is not a well-formed GGUF.</exception>
    public static GgufHeader Read(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            return new GgufReader(path, stream).ReadHeader(stream.Name);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(Path.GetFileName(path), "file", error.Message, error);
        }
    }

    private GgufHeader ReadHeader(string path)
    {
        uint magic = UInt32("magic");
        if (magic != GgufTypes.Magic) throw Error("magic", $"0x{magic:x8}, and a GGUF file begins with 0x{GgufTypes.Magic:x8}");
        uint version = UInt32("version");
        if (version is not (2 or 3)) throw Error("version", $"{version}{((version & 0xffff) == 0 ? " (big endian)" : "")}, and 2 and 3 are read");
        // A tensor entry takes at least 8 + 4 + 8 + 4 + 8 bytes, a key at least 8 + 4 + 1.
        long tensorCount = Count("tensor count", 32);
        long keyCount = Count("key count", 13);
        GgufMetadata metadata = ReadMetadata(keyCount);
        var tensors = new List<(TensorSpec Spec, long Offset)>();
        for (long i = 0; i < tensorCount; i++) tensors.Add(ReadTensor(i));
        return new GgufHeader(path, version, metadata, Place(tensors, Alignment(metadata)));
    }

    private GgufMetadata ReadMetadata(long count)
    {
        var metadata = new GgufMetadata();
        for (long i = 0; i < count; i++)
        {
            string key = String($"key {i}");
            if (key.Length == 0) throw Error($"key {i}", "is empty");
            if (metadata.Find(key) is not null) throw Error(key, "appears twice");
            var type = (GgufValueType)UInt32(key);
            metadata[key] = type == GgufValueType.Array ? ReadArray(key) : ReadScalar(key, type);
        }
        return metadata;
    }

    private object ReadScalar(string key, GgufValueType type) => type switch
    {
        GgufValueType.UInt8 => Bytes(key, 1)[0],
        GgufValueType.Int8 => (sbyte)Bytes(key, 1)[0],
        GgufValueType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(key, 2)),
        GgufValueType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(Bytes(key, 2)),
        GgufValueType.UInt32 => UInt32(key),
        GgufValueType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(Bytes(key, 4)),
        GgufValueType.UInt64 => UInt64(key),
        GgufValueType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(Bytes(key, 8)),
        GgufValueType.Float32 => BinaryPrimitives.ReadSingleLittleEndian(Bytes(key, 4)),
        GgufValueType.Float64 => BinaryPrimitives.ReadDoubleLittleEndian(Bytes(key, 8)),
        GgufValueType.Bool => Bool(key, Bytes(key, 1)[0]),
        GgufValueType.String => String(key),
        _ => throw Error(key, $"has type {(uint)type}, and there are 0 to 12"),
    };

    private object ReadArray(string key)
    {
        var type = (GgufValueType)UInt32(key);
        long count = Count(key, ElementBytes(key, type));
        if (count > Array.MaxLength) throw Error(key, $"has {count} elements, and at most {Array.MaxLength} are read");
        return type switch
        {
            GgufValueType.UInt8 => Numbers<byte>(key, count),
            GgufValueType.Int8 => Numbers<sbyte>(key, count),
            GgufValueType.UInt16 => Numbers<ushort>(key, count),
            GgufValueType.Int16 => Numbers<short>(key, count),
            GgufValueType.UInt32 => Numbers<uint>(key, count),
            GgufValueType.Int32 => Numbers<int>(key, count),
            GgufValueType.UInt64 => Numbers<ulong>(key, count),
            GgufValueType.Int64 => Numbers<long>(key, count),
            GgufValueType.Float32 => Numbers<float>(key, count),
            GgufValueType.Float64 => Numbers<double>(key, count),
            GgufValueType.Bool => Array.ConvertAll(Numbers<byte>(key, count), value => Bool(key, value)),
            _ => Texts(key, (int)count),
        };
    }

    private T[] Numbers<T>(string key, long count) where T : unmanaged
    {
        var array = new T[count];
        Span<byte> bytes = MemoryMarshal.AsBytes(array.AsSpan());
        RequireLeft(key, bytes.Length);
        int known = Math.Min(bytes.Length, _end - _at);
        Bytes(key, known).CopyTo(bytes);
        _stream.ReadExactly(bytes[known..]);
        return array;
    }

    // Those that stand whole in the window are kept together.
    private GgufTexts Texts(string key, int count)
    {
        List<ReadOnlyMemory<byte>> parts = [];
        for (int read = 0; read < count;)
        {
            int end = _at;
            int next = sizeof(ulong);
            while (read < count && _end - end >= next)
            {
                ulong length = BinaryPrimitives.ReadUInt64LittleEndian(_window.AsSpan(end));
                next = sizeof(ulong) + TextLength(key, length, Left + _at - end - sizeof(ulong));
                if (_end - end < next) break;
                if (!Utf8.IsValid(_window.AsSpan(end + sizeof(ulong), next - sizeof(ulong)))) throw Error(key, "is not valid UTF-8");
                end += next;
                next = sizeof(ulong);
                read++;
            }
            if (end > _at) parts.Add(_window.AsSpan(_at, end - _at).ToArray());
            _at = end;
            if (read < count) Refill(key, next);
        }
        return new(count, parts);
    }

    private int ElementBytes(string key, GgufValueType type) => type switch
    {
        GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
        GgufValueType.UInt16 or GgufValueType.Int16 => 2,
        GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
        GgufValueType.UInt64 or GgufValueType.Int64 or GgufValueType.Float64 or GgufValueType.String => 8,
        GgufValueType.Array => throw Error(key, "is an array of arrays, which no model needs"),
        _ => throw Error(key, $"has elements of type {(uint)type}, and there are 0 to 12"),
    };

    private (TensorSpec Spec, long Offset) ReadTensor(long index)
    {
        string name = String($"tensor {index}");
        int nameBytes = Encoding.UTF8.GetByteCount(name);
        if (nameBytes is 0 or > GgufTypes.MaxNameBytes) throw Error($"tensor {index}", $"has a name of {nameBytes} bytes, and 1 to {GgufTypes.MaxNameBytes} are allowed");
        uint dimensions = UInt32(name);
        if (dimensions is 0 or > GgufTypes.MaxDimensions) throw Error(name, $"has {dimensions} dimensions, and 1 to {GgufTypes.MaxDimensions} are allowed");
        var extents = new long[dimensions];
        UInt128 elements = 1;
        for (int i = 0; i < extents.Length; i++)
        {
            ulong extent = UInt64(name);
            elements *= extent;
            if (extent == 0 || elements > long.MaxValue / 8) throw Error(name, $"has extent {extent} in dimension {i}, {(extent == 0 ? "and none may be empty" : "too large for any file")}");
            extents[i] = (long)extent;
        }
        var type = (TensorType)UInt32(name);
        if (!TensorTypes.IsKnown(type)) throw Error(name, $"has type {(int)type}, which is not one of ggml's");
        if (extents[0] % type.BlockSize() != 0) throw Error(name, $"has rows of {extents[0]} elements, and {type} packs {type.BlockSize()} together");
        return (new TensorSpec(name, [.. extents], type), (long)Math.Min(UInt64(name), long.MaxValue));
    }

    private int Alignment(GgufMetadata metadata) => metadata.Find("general.alignment") switch
    {
        null => GgufTypes.DefaultAlignment,
        uint value when value is >= 8 and <= 1 << 20 && (value & (value - 1)) == 0 => (int)value,
        object value => throw Error("general.alignment", $"is {value}, and must be a power of two from 8 to {1 << 20}"),
    };

    private ImmutableArray<(TensorSpec Spec, long Offset)> Place(List<(TensorSpec Spec, long Offset)> tensors, int alignment)
    {
        long Align(long offset) => checked((offset + alignment - 1) / alignment * alignment);
        long start = tensors.Count == 0 ? Position : Align(Position);
        long end = 0;
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((TensorSpec spec, long offset) in tensors)
        {
            if (!names.Add(spec.Name)) throw Error(spec.Name, "appears twice");
            if (offset != end) throw Error(spec.Name, $"begins at byte {offset} of the data, {(offset < end ? "inside" : "past a hole after")} the tensor before it, which ends at {end}");
            if (spec.Bytes > _length - start - offset) throw Error(spec.Name, $"ends at byte {(Int128)start + offset + spec.Bytes}, and the file has {_length}");
            end = Align(offset + spec.Bytes);
        }
        return [.. tensors.Select(tensor => (tensor.Spec, start + tensor.Offset))];
    }

    private bool Bool(string field, byte value) => value < 2 ? value == 1 : throw Error(field, $"is {value}, and a bool is 0 or 1");

    private long Count(string field, int minimumBytes)
    {
        ulong count = UInt64(field);
        if (count > (ulong)(Left / minimumBytes)) throw Error(field, $"counts {count} entries of at least {minimumBytes} bytes, and {Left} bytes are left");
        return (long)count;
    }

    private string String(string field)
    {
        int length = TextLength(field, UInt64(field), Left);
        try { return s_strictUtf8.GetString(Bytes(field, length)); }
        catch (ArgumentException error) { throw new CheckpointException(_file, field, "is not valid UTF-8", error); }
    }

    private int TextLength(string field, ulong length, long left)
    {
        if (length > (ulong)left) throw Error(field, $"is a string of {length} bytes, and {left} bytes are left");
        return length <= MaxTextBytes ? (int)length : throw Error(field, $"is a string of {length} bytes, and at most {MaxTextBytes} are read");
    }

    private uint UInt32(string field) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(field, 4));

    private ulong UInt64(string field) => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(field, 8));

    private long Position => _stream.Position - (_end - _at);

    private long Left => _length - Position;

    /// <summary>The next bytes; valid until more are asked for.</summary>
    private ReadOnlySpan<byte> Bytes(string field, int count)
    {
        if (count > _end - _at) Refill(field, count);
        _at += count;
        return _window.AsSpan(_at - count, count);
    }

    private void Refill(string field, int count)
    {
        RequireLeft(field, count);
        int kept = _end - _at;
        byte[] window = count <= _window.Length ? _window : new byte[count];
        _window.AsSpan(_at, kept).CopyTo(window);
        (_window, _at, _end) = (window, 0, kept);
        _end += _stream.ReadAtLeast(_window.AsSpan(kept), count - kept);
    }

    private void RequireLeft(string field, long count)
    {
        if (count > Left) throw Error(field, $"needs {count} bytes at offset {Position}, and {Left} are left");
    }

    private CheckpointException Error(string field, string problem) => new(_file, field, problem);
}
