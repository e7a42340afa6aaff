using System.Buffers.Binary;
using System.IO.Compression;

namespace NativeBigModel.Tests.Hostile;

/// <summary>PyTorch files that lie, loop, grow or want to run something.</summary>
public class HostileTorchTests
{
    private const string Bin = "pytorch_model.bin";

    public static TheoryData<string> Pickles() => [.. s_pickles.Keys];

    public static TheoryData<string> Tensors() => [.. s_tensors.Keys];

    public static TheoryData<string> Archives() => [.. s_archives.Keys];

    [Theory]
    [MemberData(nameof(Pickles))]
    public void A_hostile_pickle_is_refused(string row)
    {
        (byte[] pickle, string[] parts) = s_pickles[row];
        Refused(TorchFiles.Zip(pickle, TorchSamples.Tensors()), [Bin, .. parts]);
    }

    [Theory]
    [MemberData(nameof(Tensors))]
    public void A_tensor_that_is_not_in_its_storage_is_refused(string row)
    {
        (Func<TorchFiles.Tensor, TorchFiles.Tensor> spoil, string[] parts) = s_tensors[row];
        List<TorchFiles.Tensor> tensors = TorchSamples.Tensors();
        int at = tensors.FindIndex(tensor => tensor.Name == "model.layers.0.mlp.up_proj.weight");
        tensors[at] = spoil(tensors[at]);
        Refused(TorchFiles.Zip(tensors), [Bin, .. parts]);
    }

    [Theory]
    [MemberData(nameof(Archives))]
    public void A_hostile_archive_is_refused(string row)
    {
        (Func<byte[]> make, string[] parts) = s_archives[row];
        Refused(make(), [Bin, .. parts]);
    }

    [Fact]
    public void A_file_of_the_old_format_that_is_cut_short_is_refused()
    {
        byte[] whole = TorchFiles.Legacy(TorchSamples.Tensors());
        foreach (int length in (int[])[1, 14, 20, 40, 200, whole.Length / 2, whole.Length - 1]) Refused(whole[..length], [Bin]);
    }

    private static readonly Dictionary<string, (byte[] Pickle, string[] Parts)> s_pickles = new()
    {
        ["a call of os.system"] = ([0x80, 2, .. TorchFiles.Global("os", "system"), .. TorchFiles.Text("true"), 0x85, (byte)'R', (byte)'.'], ["os.system", "refused"]),
        ["a call of builtins.eval"] = ([0x80, 2, .. TorchFiles.Global("builtins", "eval"), .. TorchFiles.Text("1"), 0x85, (byte)'R', (byte)'.'], ["builtins.eval", "refused"]),
        ["an ordered dictionary with arguments"] = ([0x80, 2, .. TorchFiles.Global("collections", "OrderedDict"), (byte)']', 0x85, (byte)'R', (byte)'.'], ["OrderedDict", "1 arguments"]),
        ["an instance by its class"] = ([0x80, 2, .. TorchFiles.Global("os", "system"), (byte)')', 0x81, (byte)'.'], ["opcode 0x81"]),
        ["an instance the old way"] = ([0x80, 2, (byte)'(', (byte)'i', .. "os\nsystem\n"u8, (byte)'.'], ["opcode 0x69"]),
        ["an extension code"] = ([0x80, 2, 0x82, 1, (byte)'.'], ["opcode 0x82"]),
        ["protocol 4"] = ([0x80, 4, (byte)'}', (byte)'.'], ["protocol 2"]),
        ["nothing"] = ([], ["cut short"]),
        ["no stop"] = ([0x80, 2, (byte)'}'], ["cut short"]),
        ["a stack that is empty"] = ([0x80, 2, (byte)'.'], ["empty stack"]),
        ["values left over"] = ([0x80, 2, (byte)'}', (byte)'}', (byte)'.'], ["1 values"]),
        ["a tuple without a mark"] = ([0x80, 2, (byte)'t', (byte)'.'], ["mark"]),
        ["a value from below a mark"] = ([0x80, 2, (byte)'}', (byte)'(', 0x85, (byte)'.'], ["1 values", "0 are there"]),
        ["a memo that was not noted"] = ([0x80, 2, (byte)'j', 255, 255, 255, 255, (byte)'.'], ["memo 4294967295"]),
        ["a dictionary in itself"] = ([0x80, 2, (byte)'}', (byte)'q', 0, .. TorchFiles.Text("a"), (byte)'h', 0, (byte)'s', (byte)'.'], ["a: is not a tensor"]),
        ["a list in itself as a tensor's shape"] = ([0x80, 2, (byte)']', (byte)'q', 0, (byte)'h', 0, (byte)'a', .. TorchFiles.Global("torch._utils", "_rebuild_tensor_v2"), (byte)'h', 0, 0x85, (byte)'R', (byte)'.'], ["wrong kinds"]),
        ["tuples that double"] = ([0x80, 2, (byte)')', .. Enumerable.Range(0, 60).SelectMany(_ => "q\0h\0"u8.ToArray().Append((byte)0x86)), (byte)'.'], ["dictionary of tensors"]),
        ["a string of 4 GiB"] = ([0x80, 2, (byte)'X', 255, 255, 255, 255, (byte)'a', (byte)'.'], ["4294967295 bytes"]),
        ["a name without an end"] = ([0x80, 2, (byte)'c', .. new byte[100_000]], ["more than 200 bytes"]),
        ["a key that is a number"] = ([0x80, 2, (byte)'}', (byte)'K', 1, (byte)'K', 1, (byte)'s', (byte)'.'], ["not a string"]),
        ["a persistent id that is a string"] = ([0x80, 2, .. TorchFiles.Text("storage"), (byte)'Q', (byte)'.'], ["persistent id"]),
        ["more opcodes than any model needs"] = ([0x80, 2, .. Enumerable.Repeat<byte[]>([(byte)'}', (byte)'('], 3_500_000).SelectMany(pair => pair)], ["more than", "opcodes"]),
    };

    private static readonly Dictionary<string, (Func<TorchFiles.Tensor, TorchFiles.Tensor> Spoil, string[] Parts)> s_tensors = new()
    {
        ["an offset behind the storage"] = (tensor => tensor with { Offset = 1 }, ["elements 1 to 384", "has 384"]),
        ["an offset of 2^62"] = (tensor => tensor with { Offset = 1L << 62 }, ["has 384"]),
        ["an offset below 0"] = (tensor => tensor with { Offset = -1 }, ["elements -1"]),
        ["a stride that leaves the storage"] = (tensor => tensor with { Strides = [17, 1] }, ["to 406", "has 384"]),
        ["a stride of 2^62"] = (tensor => tensor with { Strides = [1L << 62, 1] }, ["more than"]),
        ["a stride below 0"] = (tensor => tensor with { Strides = [-16, 1] }, ["strides"]),
        ["strides of a part"] = (tensor => tensor with { Shape = [12, 16], Strides = [32, 1] }, ["neither contiguous"]),
        ["more strides than extents"] = (tensor => tensor with { Strides = [16, 1, 1] }, ["2 dimensions", "3 strides"]),
        ["extents whose product overflows"] = (tensor => tensor with { Shape = [1L << 32, 1L << 32] }, ["more than"]),
        ["an extent below 0"] = (tensor => tensor with { Shape = [-24, 16] }, ["whole numbers"]),
        ["twenty dimensions"] = (tensor => tensor with { Shape = [.. Enumerable.Repeat(1L, 20)] }, ["20 dimensions"]),
        ["another shape than the configuration's"] = (tensor => tensor with { Shape = [16, 24] }, ["[16, 24]", "[24, 16]"]),
        ["a storage of an unknown type"] = (tensor => tensor with { StorageType = "QUInt8Storage" }, ["QUInt8Storage"]),
        ["a storage of another element size"] = (tensor => tensor with { StorageType = "DoubleStorage" }, ["1536 bytes", "take 3072"]),
        ["a storage of integers"] = (tensor => tensor with { StorageType = "IntStorage" }, ["I32"]),
        ["a storage that is not there"] = (tensor => tensor with { StorageKey = "999" }, ["data/999", "missing"]),
        ["a storage outside the folder of data"] = (tensor => tensor with { StorageKey = "../data.pkl" }, ["data/../data.pkl"]),
    };

    private static readonly Dictionary<string, (Func<byte[]> Make, string[] Parts)> s_archives = new()
    {
        ["compressed members"] = (() => TorchFiles.Zip(TorchSamples.Tensors(), CompressionLevel.Optimal), ["compressed with method 8"]),
        ["big-endian data"] = (() => TorchFiles.Zip(TorchFiles.Pickle(TorchSamples.Tensors(), false), TorchSamples.Tensors(), byteOrder: "big"), ["byteorder", "big"]),
        ["no bytes"] = (() => [], ["pickle", "cut short"]),
        ["the first half"] = (() => Zip()[..2000], ["end of directory"]),
        ["without its last byte"] = (() => Zip()[..^1], ["end of directory"]),
        ["two members of one name"] = (() => Patch(Zip(), "archive/version", "archive/data/10", all: false), ["archive/data/10", "twice"]),
        ["no pickle"] = (() => Patch(Zip(), "archive/data.pkl", "archive/data.pkk", all: true), ["data.pkl", "0 times"]),
        ["a directory that begins behind its end"] = (() => Set(Zip(), 16, uint.MaxValue - 1), ["end of directory"]),
        ["a directory of zip64 without its record"] = (() => Set(Zip(), 16, uint.MaxValue), ["zip64"]),
        ["a count of members that is too high"] = (() => Set16(Set16(Zip(), 8, 999), 10, 999), ["999"]),
        ["a member's header behind the directory"] = (() => SetEntry(Zip(), 42, 0x7fffffff), ["2147483647"]),
        ["a member of zip64 without its field"] = (() => SetEntry(SetEntry(Zip(), 20, uint.MaxValue), 24, uint.MaxValue), ["zip64"]),
        ["a member larger than the file"] = (() => SetEntry(SetEntry(Zip(), 20, 0x7fffffff), 24, 0x7fffffff), ["2147483647"]),
        ["sizes that differ"] = (() => SetEntry(Zip(), 24, 1 << 30), ["1073741824"]),
        ["an encrypted member"] = (() => SetEntry(Zip(), 8, 1), ["encrypted"]),
    };

    private static byte[] Zip() => TorchFiles.Zip(TorchSamples.Tensors());

    private static byte[] Set(byte[] zip, int field, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(zip.AsSpan(zip.Length - 22 + field), value);
        return zip;
    }

    private static byte[] Set16(byte[] zip, int field, ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(zip.AsSpan(zip.Length - 22 + field), value);
        return zip;
    }

    // A field of the first entry in the directory.
    private static byte[] SetEntry(byte[] zip, int field, uint value)
    {
        int start = BinaryPrimitives.ReadInt32LittleEndian(zip.AsSpan(zip.Length - 22 + 16));
        BinaryPrimitives.WriteUInt32LittleEndian(zip.AsSpan(start + field), value);
        return zip;
    }

    private static byte[] Patch(byte[] zip, string from, string to, bool all)
    {
        byte[] old = System.Text.Encoding.ASCII.GetBytes(from), put = System.Text.Encoding.ASCII.GetBytes(to);
        for (int at = zip.AsSpan().LastIndexOf(old); at >= 0; at = all ? zip.AsSpan().LastIndexOf(old) : -1) put.CopyTo(zip.AsSpan(at));
        return zip;
    }

    private static void Refused(byte[] file, IEnumerable<string> parts)
    {
        using var folder = new HostileFolder(TorchSamples.Files(new() { [Bin] = file }));
        Refusal.Of(folder.Path, parts);
    }
}
