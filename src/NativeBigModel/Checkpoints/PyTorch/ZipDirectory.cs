using System.Buffers.Binary;
using System.Text;

namespace NativeBigModel.Checkpoints.PyTorch;

/// <summary>
/// Where the members of a zip file lie (PKWARE APPNOTE 4.3 to 4.5, with zip64), for members that are stored and neither compressed nor encrypted:
/// their bytes can be read in place, and nothing can expand.
/// </summary>
internal sealed class ZipDirectory
{
    private const int EndBytes = 22, LocatorBytes = 20, End64Bytes = 56, EntryBytes = 46, LocalBytes = 30;
    private const int MaxCommentBytes = ushort.MaxValue;
    private const int MaxDirectoryBytes = 64 << 20;

    private readonly FileStream _stream;
    private readonly string _file;
    private readonly long _start;
    private readonly Dictionary<string, (long Header, long Bytes)> _members = new(StringComparer.Ordinal);

    private ZipDirectory(FileStream stream, string file)
    {
        (_stream, _file) = (stream, file);
        (_start, long bytes, long count) = FindDirectory();
        if (bytes > MaxDirectoryBytes) throw Error("directory", $"has {bytes} bytes, and at most {MaxDirectoryBytes} are read");
        ReadEntries(ReadAt(_start, (int)bytes), count);
    }

    public IEnumerable<string> Names => _members.Keys;

    public bool Contains(string name) => _members.ContainsKey(name);

    /// <exception cref="CheckpointException">It is not a zip file, or one with members that are compressed, encrypted, twice there or outside it.</exception>
    public static ZipDirectory Read(FileStream stream, string file) => new(stream, file);

    /// <summary>Where a member's bytes begin, and how many there are.</summary>
    public (long Offset, long Bytes) Locate(string name)
    {
        if (!_members.TryGetValue(name, out (long Header, long Bytes) member)) throw Error(name, "is missing from the archive");
        byte[] local = ReadAt(member.Header, LocalBytes);
        if (BinaryPrimitives.ReadUInt32LittleEndian(local) != 0x04034b50) throw Error(name, $"has no header at byte {member.Header}");
        long offset = member.Header + LocalBytes + Number(local, 26, 2) + Number(local, 28, 2);
        if (offset > _start - member.Bytes) throw Error(name, $"begins at byte {offset} with {member.Bytes} bytes, and the directory begins at {_start}");
        return (offset, member.Bytes);
    }

    private (long Start, long Bytes, long Count) FindDirectory()
    {
        if (_stream.Length < EndBytes) throw Error("end of directory", $"the file has {_stream.Length} bytes and the end record takes {EndBytes}");
        int tailBytes = (int)Math.Min(_stream.Length, EndBytes + MaxCommentBytes);
        byte[] tail = ReadAt(_stream.Length - tailBytes, tailBytes);
        int at = tailBytes - EndBytes;
        while (BinaryPrimitives.ReadUInt32LittleEndian(tail.AsSpan(at)) != 0x06054b50)
        {
            if (at-- == 0) throw Error("end of directory", "is missing: the file is cut short or not a zip");
        }
        ReadOnlySpan<byte> end = tail.AsSpan(at, EndBytes);
        long position = _stream.Length - tailBytes + at;
        (long count, long bytes, long start) = (Number(end, 10, 2), Number(end, 12, 4), Number(end, 16, 4));
        if (Number(end, 4, 2) is not (0 or 0xffff) || Number(end, 8, 2) != count) throw Error("end of directory", "describes an archive of several disks");
        if (count == 0xffff || bytes == 0xffffffff || start == 0xffffffff) (position, start, bytes, count) = ReadEnd64(position);
        if (start > position || bytes > position - start) throw Error("end of directory", $"says {bytes} bytes at {start}, and it ends at {position}");
        return (start, bytes, count);
    }

    private (long Position, long Start, long Bytes, long Count) ReadEnd64(long end)
    {
        if (end < LocatorBytes + End64Bytes) throw Error("zip64 end of directory", "is missing");
        byte[] locator = ReadAt(end - LocatorBytes, LocatorBytes);
        long position = Number(locator, 8, 8);
        if (BinaryPrimitives.ReadUInt32LittleEndian(locator) != 0x07064b50 || position > end - LocatorBytes - End64Bytes) throw Error("zip64 end of directory", "is missing");
        byte[] record = ReadAt(position, End64Bytes);
        if (BinaryPrimitives.ReadUInt32LittleEndian(record) != 0x06064b50) throw Error("zip64 end of directory", $"is not at byte {position}");
        return (position, Number(record, 48, 8), Number(record, 40, 8), Number(record, 32, 8));
    }

    private void ReadEntries(ReadOnlySpan<byte> directory, long count)
    {
        while (!directory.IsEmpty)
        {
            if (directory.Length < EntryBytes || BinaryPrimitives.ReadUInt32LittleEndian(directory) != 0x02014b50) throw Error("directory", $"entry {_members.Count} is malformed");
            int nameBytes = (int)Number(directory, 28, 2), extraBytes = (int)Number(directory, 30, 2), whole = EntryBytes + nameBytes + extraBytes + (int)Number(directory, 32, 2);
            if (directory.Length < whole) throw Error("directory", $"entry {_members.Count} has {whole} bytes, and {directory.Length} are left");
            string name = Encoding.UTF8.GetString(directory.Slice(EntryBytes, nameBytes));
            if ((Number(directory, 8, 2) & 1) != 0) throw Error(name, "is encrypted");
            if (Number(directory, 10, 2) is var method and not 0) throw Error(name, $"is compressed with method {method}, and only stored members are read");
            (long packed, long bytes, long header) = (Number(directory, 20, 4), Number(directory, 24, 4), Number(directory, 42, 4));
            Widen(directory.Slice(EntryBytes + nameBytes, extraBytes), name, ref bytes, ref packed, ref header);
            if (packed != bytes) throw Error(name, $"is stored in {packed} bytes and has {bytes}");
            if (header > _start - LocalBytes || bytes > _start) throw Error(name, $"lies at byte {header} with {bytes} bytes, and the directory begins at {_start}");
            if (!_members.TryAdd(name, (header, bytes))) throw Error(name, "is in the archive twice");
            directory = directory[whole..];
        }
        if (_members.Count != count) throw Error("directory", $"has {_members.Count} entries, and its end says {count}");
    }

    // APPNOTE 4.5.3: the fields that are all ones stand in the zip64 extra field, in this order.
    private void Widen(ReadOnlySpan<byte> extra, string name, ref long bytes, ref long packed, ref long header)
    {
        if (bytes != uint.MaxValue && packed != uint.MaxValue && header != uint.MaxValue) return;
        while (extra.Length >= 4)
        {
            int length = (int)Number(extra, 2, 2);
            if (length > extra.Length - 4) break;
            ReadOnlySpan<byte> field = extra.Slice(4, length);
            if (Number(extra, 0, 2) == 1)
            {
                Take(ref field, name, ref bytes);
                Take(ref field, name, ref packed);
                Take(ref field, name, ref header);
                return;
            }
            extra = extra[(4 + length)..];
        }
        throw Error(name, "needs a zip64 field and has none");
    }

    private void Take(ref ReadOnlySpan<byte> field, string name, ref long value)
    {
        if (value != uint.MaxValue) return;
        if (field.Length < 8) throw Error(name, $"has a zip64 field that is {8 - field.Length} bytes short");
        value = Number(field, 0, 8);
        field = field[8..];
    }

    private long Number(ReadOnlySpan<byte> bytes, int at, int width)
    {
        ulong value = width switch
        {
            2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]),
            4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]),
            _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]),
        };
        return value <= long.MaxValue ? (long)value : throw Error("directory", $"says {value}, past any file");
    }

    private byte[] ReadAt(long offset, int count)
    {
        byte[] bytes = new byte[count];
        _stream.Position = offset;
        _stream.ReadExactly(bytes);
        return bytes;
    }

    private CheckpointException Error(string field, string problem) => new(_file, field, problem);
}
