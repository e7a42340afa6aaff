using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace NativeBigModel.Checkpoints.PyTorch;

/// <summary>
/// Reads one pickle of those that torch.save writes (protocol 2; opcodes by Python's pickletools). It builds numbers, strings, tuples, lists, dictionaries and what
/// <see cref="TorchObjects"/> makes of the few names it knows; every other opcode and name is refused, so no pickle can run anything.
/// </summary>
/// <param name="stream">Stands at the first byte.</param>
/// <param name="file">The file, for errors.</param>
/// <param name="length">Bytes that the pickle may take.</param>
internal sealed class PickleMachine(Stream stream, string file, long length = PickleMachine.MaxBytes)
{
    // A hundred thousand tensors take about 16 MB and 3.5 million opcodes.
    public const int MaxBytes = 32 << 20;
    private const int MaxOpcodes = 6_000_000;
    private const int MaxStringBytes = 1 << 16;
    private const int MaxNameBytes = 200;

    private readonly List<object?> _stack = [];
    private readonly List<int> _marks = [];
    private readonly Dictionary<uint, object?> _memo = [];
    private int _bytes;

    private int Floor => _marks.Count > 0 ? _marks[^1] : 0;

    /// <summary>The pickled value; the stream stands behind its last byte.</summary>
    /// <exception cref="CheckpointException">The pickle is cut short, contradicts itself, or asks for anything but tensors.</exception>
    public object? Run()
    {
        if (Byte() != 0x80 || Byte() != 2) throw Error("does not begin with pickle protocol 2");
        for (int opcodes = 0; opcodes < MaxOpcodes; opcodes++)
        {
            byte opcode = Byte();
            if (opcode == '.')
            {
                object? value = Pop();
                if (_stack.Count > 0 || _marks.Count > 0) throw Error($"ends with {_stack.Count} values and {_marks.Count} marks left over");
                return value;
            }
            Step(opcode);
        }
        throw Error($"has more than {MaxOpcodes} opcodes");
    }

    private void Step(byte opcode)
    {
        switch ((char)opcode)
        {
            case '(': _marks.Add(_stack.Count); break;
            case ')': _stack.Add(new PickleTuple([])); break;
            case '}': _stack.Add(new PickleDictionary()); break;
            case ']': _stack.Add(new PickleList()); break;
            case 'N': _stack.Add(null); break;
            case '\u0088': _stack.Add(true); break;
            case '\u0089': _stack.Add(false); break;
            case 'K': _stack.Add((long)Byte()); break;
            case 'M': _stack.Add((long)BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2))); break;
            case 'J': _stack.Add((long)BinaryPrimitives.ReadInt32LittleEndian(Bytes(4))); break;
            case '\u008a': _stack.Add(Long()); break;
            case 'X': _stack.Add(Text()); break;
            case 'c': _stack.Add(new PickleGlobal($"{Line()}.{Line()}")); break;
            case 't': _stack.Add(new PickleTuple(PopMarked())); break;
            case '\u0085': _stack.Add(new PickleTuple(PopMany(1))); break;
            case '\u0086': _stack.Add(new PickleTuple(PopMany(2))); break;
            case '\u0087': _stack.Add(new PickleTuple(PopMany(3))); break;
            case 'q': _memo[Byte()] = Top(); break;
            case 'r': _memo[BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4))] = Top(); break;
            case 'h': _stack.Add(Remembered(Byte())); break;
            case 'j': _stack.Add(Remembered(BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4)))); break;
            case 'a': Append(PopMany(1)); break;
            case 'e': Append(PopMarked()); break;
            case 's': Set(PopMany(2)); break;
            case 'u': Set(PopMarked()); break;
            case 'Q': _stack.Add(TorchObjects.Storage(Pop(), Error)); break;
            case 'R': Call(); break;
            case 'b': Build(); break;
            default: throw Error($"has opcode 0x{opcode:x2}, which no file of tensors needs; it is refused");
        }
    }

    private void Call()
    {
        if (Pop() is not PickleTuple arguments || Pop() is not PickleGlobal function) throw Error("calls something that is not a name with a tuple");
        _stack.Add(TorchObjects.Call(function, arguments.Items, Error));
    }

    // A state dictionary carries its modules' versions as an attribute. They say nothing about the tensors.
    private void Build()
    {
        Pop();
        if (Top() is not PickleDictionary) throw Error("sets attributes of something that is not a dictionary");
    }

    private void Append(object?[] items)
    {
        if (Top() is not PickleList list) throw Error("appends to something that is not a list");
        list.Items.AddRange(items);
    }

    private void Set(object?[] items)
    {
        if (Top() is not PickleDictionary dictionary || items.Length % 2 != 0) throw Error($"sets {items.Length} keys and values of something that is not a dictionary");
        for (int i = 0; i < items.Length; i += 2) dictionary.Entries.Add((items[i], items[i + 1]));
    }

    private object? Remembered(uint index) => _memo.TryGetValue(index, out object? value) ? value : throw Error($"recalls memo {index}, and {_memo.Count} were noted");

    private object? Top() => _stack.Count > Floor ? _stack[^1] : throw Error("takes a value from an empty stack");

    private object? Pop()
    {
        object? top = Top();
        _stack.RemoveAt(_stack.Count - 1);
        return top;
    }

    private object?[] PopMany(int count)
    {
        if (_stack.Count - Floor < count) throw Error($"takes {count} values, and {_stack.Count - Floor} are there");
        object?[] items = [.. _stack[^count..]];
        _stack.RemoveRange(_stack.Count - count, count);
        return items;
    }

    private object?[] PopMarked()
    {
        if (_marks.Count == 0) throw Error("takes the values after a mark, and no mark is there");
        object?[] items = PopMany(_stack.Count - Floor);
        _marks.RemoveAt(_marks.Count - 1);
        return items;
    }

    private object Long()
    {
        var number = new BigInteger(Bytes(Byte()));
        return number >= long.MinValue && number <= long.MaxValue ? (object)(long)number : number;
    }

    private string Text()
    {
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));
        if (length > MaxStringBytes) throw Error($"has a string of {length} bytes, and at most {MaxStringBytes} are read");
        return Encoding.UTF8.GetString(Bytes((int)length));
    }

    private string Line()
    {
        var line = new StringBuilder();
        for (byte next = Byte(); next != '\n'; next = Byte())
        {
            if (line.Length == MaxNameBytes) throw Error($"has a name of more than {MaxNameBytes} bytes");
            line.Append((char)next);
        }
        return line.ToString();
    }

    private byte Byte()
    {
        Count(1);
        int next = stream.ReadByte();
        return next >= 0 ? (byte)next : throw Error("is cut short");
    }

    private byte[] Bytes(int count)
    {
        Count(count);
        byte[] bytes = new byte[count];
        return stream.ReadAtLeast(bytes, count, throwOnEndOfStream: false) == count ? bytes : throw Error("is cut short");
    }

    private void Count(int bytes)
    {
        if (bytes > length - _bytes) throw Error("is cut short");
        if ((_bytes += bytes) > MaxBytes) throw Error($"is longer than {MaxBytes} bytes");
    }

    private CheckpointException Error(string problem) => new(file, $"pickle, byte {_bytes}", problem);
}
