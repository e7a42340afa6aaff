using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Conversion;

/// <summary>What <see cref="GgufWriter"/> writes, read by ggml and by <see cref="GgufReader"/>.</summary>
[Collection(EngineGroup.Name)]
public unsafe class GgufHeaderTests
{
    private static readonly Gen<object> s_value = Gen.OneOf(
        Each(Bits(8).Select(v => (byte)v)), Each(Bits(8).Select(v => (sbyte)v)), Each(Bits(16).Select(v => (ushort)v)), Each(Bits(16).Select(v => (short)v)),
        Each(Bits(32).Select(v => (uint)v)), Each(Bits(32).Select(v => (int)v)), Each(Bits(64)), Each(Bits(64).Select(v => (long)v)),
        Each(Bits(32).Select(v => BitConverter.UInt32BitsToSingle((uint)v))), Each(Bits(64).Select(BitConverter.UInt64BitsToDouble)),
        Each(Bits(1).Select(v => v == 1)), Each(Gen.Elements("", "a", "Ġthe", "你是谁", "a\0b", new string('x', 300))));

    private static readonly Arbitrary<(object[] Values, TensorSpec[] Tensors)> s_headers = (
        from values in Gen.ArrayOf(s_value)
        from tensors in Gen.ArrayOf(
            from type in Gen.Elements(TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_K, TensorType.IQ4_XS, TensorType.I32)
            from extents in Gen.ArrayOf(Gen.Choose(1, 7))
            select (Type: type, Extents: extents))
        select (values, tensors.Select((tensor, i) => new TensorSpec($"blk.{i}.weight", Extents(tensor.Type, tensor.Extents), tensor.Type)).ToArray())).ToArbitrary();

    [Fact]
    public void Both_readers_find_the_keys_tensors_and_offsets_that_were_written() => Check.QuickThrowOnFailure(Prop.ForAll(s_headers, header =>
    {
        var metadata = new GgufMetadata();
        for (int i = 0; i < header.Values.Length; i++) metadata[$"key.{i}"] = header.Values[i];
        (byte[] bytes, long[] offsets) = GgufWriter.Write(metadata, header.Tensors);
        byte[] file = new byte[header.Tensors.Length == 0 ? bytes.Length : GgufWriter.Align(offsets[^1] + header.Tensors[^1].Bytes)];
        bytes.CopyTo(file, 0);

        RequireOurs(file, metadata, header.Tensors, offsets);
        RequireGgmls(file, metadata, header.Tensors);
    }));

    [Fact]
    public void Values_of_every_type_reach_ggml()
    {
        var metadata = new GgufMetadata { ["text"] = "Ġ你", ["u8"] = (byte)7, ["list"] = (string[])["a", "", "b"], ["none"] = Array.Empty<int>() };
        (byte[] bytes, _) = GgufWriter.Write(metadata, []);
        EngineLibrary.Load();
        fixed (byte* data = bytes)
        {
            using GgufHandle gguf = GgufApi.GgufInitFromBuffer(data, (nuint)bytes.Length, new GgufInitParams { NoAlloc = 1 });
            Assert.False(gguf.IsInvalid);
            Assert.Equal(4, GgufApi.GgufGetNKv(gguf));
            Assert.Equal("Ġ你", Utf8.Text(GgufApi.GgufGetValStr(gguf, GgufApi.GgufFindKey(gguf, "text"))));
        }
    }

    [Theory]
    [InlineData(40_000, 0, 20)]
    [InlineData(3, 300_000, 300_000)]
    [InlineData(2_000, 0, 3_000)]
    public void Arrays_of_strings_that_are_longer_than_what_is_read_at_once_are_whole(int count, int shortest, int longest)
    {
        using var folder = new TempFolder();
        var random = new Random(count);
        string[] texts = [.. Enumerable.Range(0, count).Select(i => string.Concat($"{i}", new string("aé你"[i % 3], random.Next(shortest, longest + 1))))];
        float[] scores = [.. texts.Select((_, i) => i / 7f)];
        (byte[] bytes, _) = GgufWriter.Write(new GgufMetadata { ["tokens"] = texts, ["scores"] = scores, ["after"] = 7u }, []);
        File.WriteAllBytes(folder["texts.gguf"], bytes);

        GgufMetadata read = GgufReader.Read(folder["texts.gguf"]).Metadata;
        Assert.Equal(texts, new GgufKeys("texts.gguf", read).Strings("tokens"));
        Assert.Equal(scores, read.Find("scores"));
        Assert.Equal(7u, read.Find("after"));
        Assert.Equal(bytes, GgufWriter.Write(read, []).Header);
        Assert.InRange(GgufWriter.MostBytes(read, []), bytes.Length, 2L * bytes.Length);

        int cut = bytes.Length - scores.Length * sizeof(float) - longest - 200;
        File.WriteAllBytes(folder["texts.gguf"], bytes[..cut]);
        Assert.Contains("tokens", Assert.Throws<CheckpointException>(() => GgufReader.Read(folder["texts.gguf"])).Message, StringComparison.Ordinal);
    }

    private static void RequireOurs(byte[] file, GgufMetadata metadata, TensorSpec[] tensors, long[] offsets)
    {
        using var folder = new TempFolder();
        File.WriteAllBytes(folder["header.gguf"], file);
        GgufHeader header = GgufReader.Read(folder["header.gguf"]);
        Assert.Equal(3u, header.Version);
        Assert.Equal(tensors, header.Tensors.Select(tensor => tensor.Spec));
        Assert.Equal(offsets, header.Tensors.Select(tensor => tensor.Offset));
        Assert.Equal(metadata.Select(pair => pair.Key), header.Metadata.Select(pair => pair.Key));
        foreach ((string key, object value) in metadata)
        {
            object read = header.Metadata.Find(key) is GgufTexts texts ? texts.Read() : header.Metadata.Find(key)!;
            Assert.Equal(value.GetType(), read.GetType());
            Assert.Equal(value, read);
        }
    }

    private static void RequireGgmls(byte[] file, GgufMetadata metadata, TensorSpec[] tensors)
    {
        EngineLibrary.Load();
        fixed (byte* data = file)
        {
            using GgufHandle gguf = GgufApi.GgufInitFromBuffer(data, (nuint)file.Length, new GgufInitParams { NoAlloc = 1 });
            Assert.False(gguf.IsInvalid);
            Assert.Equal(metadata.Count, GgufApi.GgufGetNKv(gguf));
            long index = 0;
            foreach ((string key, object value) in metadata)
            {
                Assert.Equal(index++, GgufApi.GgufFindKey(gguf, key));
                if (value is string text) Assert.Equal(text.Split('\0')[0], Utf8.Text(GgufApi.GgufGetValStr(gguf, index - 1)));
            }
            Assert.Equal(tensors.Length, GgufApi.GgufGetNTensors(gguf));
            for (int i = 0; i < tensors.Length; i++)
            {
                Assert.Equal(tensors[i].Name, Utf8.Text(GgufApi.GgufGetTensorName(gguf, i)));
                Assert.Equal(tensors[i].Type, GgufApi.GgufGetTensorType(gguf, i));
                Assert.Equal((nuint)tensors[i].Bytes, GgufApi.GgufGetTensorSize(gguf, i));
            }
        }
    }

    private static Gen<ulong> Bits(int count) =>
        from high in Gen.Choose(int.MinValue, int.MaxValue)
        from low in Gen.Choose(int.MinValue, int.MaxValue)
        select ((ulong)(uint)high << 32 | (uint)low) >> (64 - count);

    private static Gen<object> Each<T>(Gen<T> one) => Gen.OneOf(one.Select(value => (object)value!), Gen.ArrayOf(one).Select(values => (object)values));

    private static ImmutableArray<long> Extents(TensorType type, int[] extents) =>
        [(extents.Length > 0 ? extents[0] : 1) * type.BlockSize(), .. extents.Skip(1).Take(3).Select(extent => (long)extent)];
}
