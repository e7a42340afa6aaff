namespace NativeBigModel.Tests.Hostile;

/// <summary>Malformed GGUF files, and well-formed ones that llama.cpp would end the process over.</summary>
public class HostileGgufTests
{
    private const string Name = "model.gguf";
    private const string Q = "blk.1.attn_q.weight";
    private const string Tokens = "tokenizer.ggml.tokens";

    public static TheoryData<string> Rows() => [.. s_rows.Keys];

    public static TheoryData<string, TensorType> WrongTypes()
    {
        var rows = new TheoryData<string, TensorType>();
        foreach (string name in (string[])["token_embd.weight", "output.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"])
        {
            foreach (TensorType type in (TensorType[])[TensorType.F64, TensorType.I8, TensorType.I16, TensorType.I32, TensorType.I64]) rows.Add(name, type);
            if (name.Contains("norm", StringComparison.Ordinal)) rows.Add(name, TensorType.F16);
        }
        return rows;
    }

    [Fact]
    public void The_unspoilt_files_open_and_are_rewritten_byte_for_byte()
    {
        foreach (byte[] file in (byte[][])[TinyCheckpoint.Gguf, TinyCheckpoint.SentencePieceGguf])
        {
            using HostileFolder folder = Folder(file);
            Assert.Equal(21, Checkpoint.Open(folder.In(Name)).Describe().Tensors.Length);
            Assert.Equal(file, RawGguf.Parse(file).ToBytes());
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_hostile_gguf_is_refused(string row)
    {
        (Action<RawGguf> spoil, string[] parts) = s_rows[row];
        RawGguf gguf = RawGguf.Parse(row.StartsWith("SentencePiece", StringComparison.Ordinal) ? TinyCheckpoint.SentencePieceGguf : TinyCheckpoint.Gguf);
        spoil(gguf);
        using HostileFolder folder = Folder(gguf.ToBytes());
        Refusal.Of(folder.In(Name), [Name, .. parts]);
    }

    [Theory]
    [MemberData(nameof(WrongTypes))]
    public void A_tensor_of_a_type_that_its_role_cannot_have_is_refused(string tensor, TensorType type)
    {
        RawGguf gguf = RawGguf.Parse(TinyCheckpoint.Gguf);
        gguf.Retype(tensor, type);
        using HostileFolder folder = Folder(gguf.ToBytes());
        Refusal.Of(folder.In(Name), Name, tensor, type.ToString());
    }

    [Fact]
    public void A_gguf_is_refused_wherever_it_is_cut_off()
    {
        byte[] whole = Small().ToBytes();
        using HostileFolder folder = Folder(whole);
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(folder.In(Name), whole[..length]);
            Refusal.Of(folder.In(Name), Name);
        }
    }

    [Fact]
    public void Counts_that_the_file_cannot_hold_allocate_nothing()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        foreach (ulong count in (ulong[])[ulong.MaxValue, 1UL << 63, long.MaxValue, 1UL << 40, int.MaxValue])
        {
            RawGguf gguf = Small();
            gguf[Tokens] = RawGguf.Array(8, count, 1, 2, 3);
            using HostileFolder folder = Folder(gguf.ToBytes());
            Refusal.Of(folder.In(Name), Name, Tokens, $"{count}");
        }
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 20);
    }

    [Fact]
    public void A_part_of_a_split_file_that_is_missing_or_inconsistent_is_refused()
    {
        string Part(int i) => $"m-{i:d5}-of-00002.gguf";
        RawGguf first = RawGguf.Parse(TinyCheckpoint.Gguf), second = RawGguf.Parse(TinyCheckpoint.Gguf);
        first["split.count"] = second["split.count"] = (ushort)2;
        first["split.no"] = (ushort)0;
        second["split.no"] = (ushort)1;
        first["split.tensors.count"] = second["split.tensors.count"] = 42;
        using var folder = new HostileFolder(new Dictionary<string, byte[]> { [Part(1)] = first.ToBytes() });
        Refusal.Of(folder.In(Part(1)), Part(2), "missing");

        void Write(string part, RawGguf gguf) => File.WriteAllBytes(folder.In(part), gguf.ToBytes());
        Write(Part(2), second);
        Refusal.Of(folder.In(Part(1)), Part(2), "token_embd.weight", "earlier part");
        second.Tensors.Clear();
        second.Data = [];
        Write(Part(2), second);
        Refusal.Of(folder.In(Part(1)), "split.tensors.count", "42", "21");
        second["split.no"] = (ushort)0;
        Write(Part(2), second);
        Refusal.Of(folder.In(Part(2)), Part(2), "split.no", "0", "1");
        second["split.count"] = (ushort)3;
        Write(Part(2), second);
        Refusal.Of(folder.In(Part(1)), Part(2), "split.count", "3", "2");
        first["split.count"] = "two";
        Write(Part(1), first);
        Refusal.Of(folder.In(Part(1)), Part(1), "split.count", "two");
        first["split.count"] = (ushort)2;
        Write(Name, first);
        Refusal.Of(folder.In(Name), Name, "split.count", "2");
    }

    // Keys of every kind and two tensors, and no more.
    private static RawGguf Small()
    {
        RawGguf gguf = RawGguf.Parse(TinyCheckpoint.Gguf);
        gguf[Tokens] = new[] { "a", "b" };
        gguf["tokenizer.ggml.token_type"] = new[] { 1, 1 };
        gguf["tokenizer.ggml.merges"] = new[] { "a b" };
        gguf.Tensors.RemoveRange(2, gguf.Tensors.Count - 2);
        gguf.Data = gguf.Data[..(int)(gguf.Tensors[1].Offset + 64)];
        return gguf;
    }

    private static HostileFolder Folder(byte[] file) => new(new Dictionary<string, byte[]> { [Name] = file });

    private static string[] TokensOf(RawGguf gguf) => (string[])gguf[Tokens];

    private static readonly Dictionary<string, (Action<RawGguf>, string[])> s_rows = new()
    {
        ["magic"] = (gguf => gguf.Magic = "GGML"u8.ToArray(), ["magic", "0x"]),
        ["magic big endian"] = (gguf => gguf.Magic = "FUGG"u8.ToArray(), ["magic"]),
        ["version 0"] = (gguf => gguf.Version = 0, ["version", "0"]),
        ["version 1"] = (gguf => gguf.Version = 1, ["version", "1"]),
        ["version 4"] = (gguf => gguf.Version = 4, ["version", "4"]),
        ["version big endian"] = (gguf => gguf.Version = 3u << 24, ["version", "big endian"]),
        ["key count 2^64-1"] = (gguf => gguf.KeyCount = ulong.MaxValue, ["key count", "18446744073709551615"]),
        ["key count one more"] = (gguf => gguf.KeyCount = (ulong)gguf.Keys.Count + 1, []),
        ["key count one less"] = (gguf => gguf.KeyCount = (ulong)gguf.Keys.Count - 1, []),
        ["key count 0"] = (gguf => gguf.KeyCount = 0, []),
        ["tensor count 2^64-1"] = (gguf => gguf.TensorCount = ulong.MaxValue, ["tensor count", "18446744073709551615"]),
        ["tensor count 2^63"] = (gguf => gguf.TensorCount = 1UL << 63, ["tensor count", "9223372036854775808"]),
        ["tensor count one more"] = (gguf => gguf.TensorCount = (ulong)gguf.Tensors.Count + 1, []),
        ["tensor count one less"] = (gguf => gguf.TensorCount = (ulong)gguf.Tensors.Count - 1, []),
        ["key empty"] = (gguf => gguf.Keys[3] = ("", 1u), ["key 3", "empty"]),
        ["key of invalid UTF-8"] = (gguf => gguf.Keys[3] = (new byte[] { 0xFF, 0x41 }, 1u), ["key 3", "UTF-8"]),
        ["key twice"] = (gguf => gguf.Keys.Add(("general.architecture", "llama")), ["general.architecture", "twice"]),
        ["key of a megabyte, of a wrong type"] = (gguf => gguf.Keys.Insert(0, (new string('k', 1 << 20), new RawValue(99))), ["99"]),
        ["string of 2^63 bytes"] = (gguf => gguf["general.name"] = new RawValue(8, 0, 0, 0, 0, 0, 0, 0, 0x80), ["general.name", "9223372036854775808"]),
        ["string of 2^64-1 bytes"] = (gguf => gguf["general.name"] = new RawValue(8, [.. Enumerable.Repeat((byte)0xFF, 8)]), ["general.name", "18446744073709551615"]),
        ["string of invalid UTF-8"] = (gguf => gguf["general.name"] = new RawValue(8, 2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0x28), ["general.name", "UTF-8"]),
        ["bool 2"] = (gguf => gguf["tokenizer.ggml.add_bos_token"] = new RawValue(7, 2), ["tokenizer.ggml.add_bos_token", "2"]),
        ["value of type 13"] = (gguf => gguf["general.name"] = new RawValue(13, 0), ["general.name", "13", "12"]),
        ["value of type 2^32-1"] = (gguf => gguf["general.name"] = new RawValue(uint.MaxValue, 0), ["general.name", "4294967295"]),
        ["array of type 13"] = (gguf => gguf[Tokens] = RawGguf.Array(13, 0), [Tokens, "13"]),
        ["array of arrays"] = (gguf => gguf[Tokens] = RawGguf.Array(9, 1, new byte[12]), [Tokens, "array"]),
        ["nesting bomb of arrays"] = (gguf => gguf[Tokens] = RawGguf.Array(9, 1, [.. Enumerable.Repeat((byte[])[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], 100_000).SelectMany(bytes => bytes)]), [Tokens, "array"]),
        ["array of 2^64-1"] = (gguf => gguf[Tokens] = RawGguf.Array(4, ulong.MaxValue), [Tokens, "18446744073709551615"]),
        ["array of 2^62 words"] = (gguf => gguf[Tokens] = RawGguf.Array(4, 1UL << 62), [Tokens, "4611686018427387904"]),
        ["array of bad bools"] = (gguf => gguf["x"] = RawGguf.Array(7, 3, 0, 1, 2), ["x", "2"]),
        ["array with a string of invalid UTF-8"] = (gguf => gguf[Tokens] = RawGguf.Array(8, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0x28), [Tokens, "UTF-8"]),
        ["array of strings that are not there"] = (gguf => gguf[Tokens] = RawGguf.Array(8, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F), [Tokens]),
        ["tensor name empty"] = (gguf => gguf.Edit(Q, tensor => tensor with { Name = "" }), ["tensor ", "0 bytes", "63"]),
        ["tensor name of 64 bytes"] = (gguf => gguf.Edit(Q, tensor => tensor with { Name = new string('x', 64) }), ["64", "63"]),
        ["tensor name with an escape"] = (gguf => gguf.Edit(Q, tensor => tensor with { Name = "a\u001b[2J\n\u202e" }), []),
        ["tensor name with NUL"] = (gguf => gguf.Edit(Q, tensor => tensor with { Name = Q + "\0" }), []),
        ["tensor twice"] = (gguf => gguf.Edit(Q, tensor => tensor with { Name = "blk.0.attn_q.weight" }), ["blk.0.attn_q.weight", "twice"]),
        ["dimensions 0"] = (gguf => gguf.Edit(Q, tensor => tensor with { Dimensions = 0 }), [Q, "0", "4"]),
        ["dimensions 5"] = (gguf => gguf.Edit(Q, tensor => tensor with { Dimensions = 5 }), [Q, "5", "4"]),
        ["dimensions 2^32-1"] = (gguf => gguf.Edit(Q, tensor => tensor with { Dimensions = uint.MaxValue }), [Q, "4294967295"]),
        ["extent 0"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [16, 0] }), [Q, "0"]),
        ["extent 2^64-1"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [ulong.MaxValue, 16] }), [Q, "18446744073709551615"]),
        ["extents whose product overflows"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [1UL << 32, 1UL << 32, 1UL << 32, 1UL << 32] }), [Q, "4294967296"]),
        ["extents whose product overflows to the size"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [(1UL << 60) + 16, 16] }), [Q]),
        ["extents of 2^59 elements"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [1UL << 59] }), [Q]),
        ["extents of 2^60-1 elements of 8 bytes"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [(1UL << 60) - 1], Type = (uint)TensorType.F64 }), [Q]),
        ["extents that the hyperparameters do not have"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [8, 32] }), [Q, "[8, 32]", "[16, 16]"]),
        ["extents in one dimension"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [256] }), [Q, "[256]", "[16, 16]"]),
        ["extents with a 1"] = (gguf => gguf.Edit(Q, tensor => tensor with { Extents = [16, 16, 1] }), [Q, "[16, 16, 1]", "[16, 16]"]),
        ["tensor of type 4"] = (gguf => gguf.Edit(Q, tensor => tensor with { Type = 4 }), [Q, "4"]),
        ["tensor of type 2^32-1"] = (gguf => gguf.Edit(Q, tensor => tensor with { Type = uint.MaxValue }), [Q]),
        ["rows that no block fits"] = (gguf => gguf.Edit(Q, tensor => tensor with { Type = (uint)TensorType.Q4_0 }), [Q, "16", "32"]),
        ["offset past the end"] = (gguf => gguf.Edit(Q, tensor => tensor with { Offset = 1UL << 40 }), [Q, "1099511627776"]),
        ["offset 2^64-1"] = (gguf => gguf.Edit(Q, tensor => tensor with { Offset = ulong.MaxValue }), [Q]),
        ["offset inside another"] = (gguf => gguf.Edit(Q, tensor => tensor with { Offset = tensor.Offset - 32 }), [Q, "inside"]),
        ["offset that leaves a hole"] = (gguf => gguf.Edit(Q, tensor => tensor with { Offset = tensor.Offset + 32 }), [Q, "hole"]),
        ["offset unaligned"] = (gguf => gguf.Edit(Q, tensor => tensor with { Offset = tensor.Offset + 1 }), [Q]),
        ["data cut off"] = (gguf => gguf.Data = gguf.Data[..^64], ["ends at byte"]),
        ["no data"] = (gguf => gguf.Data = [], ["ends at byte"]),
        ["alignment 0"] = (gguf => gguf["general.alignment"] = 0u, ["general.alignment", "0"]),
        ["alignment 3"] = (gguf => gguf["general.alignment"] = 3u, ["general.alignment", "3"]),
        ["alignment 4"] = (gguf => gguf["general.alignment"] = 4u, ["general.alignment", "4"]),
        ["alignment 2^31"] = (gguf => gguf["general.alignment"] = 1u << 31, ["general.alignment", "2147483648"]),
        ["alignment a string"] = (gguf => gguf["general.alignment"] = "32", ["general.alignment", "32"]),
        ["alignment of 64 bits"] = (gguf => gguf["general.alignment"] = 32ul, ["general.alignment", "32"]),
        ["alignment of another file"] = (gguf => gguf["general.alignment"] = 4096u, []),
        ["architecture missing"] = (gguf => gguf.Remove("general.architecture"), ["general.architecture", "missing"]),
        ["architecture a number"] = (gguf => gguf["general.architecture"] = 1u, ["general.architecture"]),
        ["architecture another"] = (gguf => gguf["general.architecture"] = "qwen3", ["qwen3.block_count"]),
        ["architecture with a line break"] = (gguf => gguf["general.architecture"] = "a\nb", ["block_count"]),
        ["block count missing"] = (gguf => gguf.Remove("llama.block_count"), ["llama.block_count", "missing"]),
        ["block count 0"] = (gguf => gguf["llama.block_count"] = 0u, ["llama.block_count", "0", "512"]),
        ["block count 513"] = (gguf => gguf["llama.block_count"] = 513u, ["llama.block_count", "513", "512"]),
        ["block count 2^32-1"] = (gguf => gguf["llama.block_count"] = uint.MaxValue, ["llama.block_count", "4294967295", "512"]),
        ["block count a string"] = (gguf => gguf["llama.block_count"] = "2", ["llama.block_count", "String", "UInt32"]),
        ["block count of 64 bits"] = (gguf => gguf["llama.block_count"] = 2ul, ["llama.block_count", "UInt64", "UInt32"]),
        ["block count one more"] = (gguf => gguf["llama.block_count"] = 3u, ["blk.2.", "missing"]),
        ["block count one less"] = (gguf => gguf["llama.block_count"] = 1u, ["blk.1."]),
        ["embedding length missing"] = (gguf => gguf.Remove("llama.embedding_length"), ["llama.embedding_length", "missing"]),
        ["embedding length 0"] = (gguf => gguf["llama.embedding_length"] = 0u, ["llama.embedding_length", "0"]),
        ["embedding length of other tensors"] = (gguf => gguf["llama.embedding_length"] = 32u, ["[16, 266]", "[32, 266]"]),
        ["context length missing"] = (gguf => gguf.Remove("llama.context_length"), ["llama.context_length", "missing"]),
        ["context length 0"] = (gguf => gguf["llama.context_length"] = 0u, ["llama.context_length", "0"]),
        ["context length 2^31"] = (gguf => gguf["llama.context_length"] = 1u << 31, ["llama.context_length", "2147483648"]),
        ["feed forward 0"] = (gguf => gguf["llama.feed_forward_length"] = 0u, ["ffn_up", "24", "0"]),
        ["head count 0"] = (gguf => gguf["llama.attention.head_count"] = 0u, ["attn_q", "16", "0"]),
        ["head count that the kv heads do not divide"] = (gguf => gguf["llama.attention.head_count"] = 5u, ["head_count_kv", "2", "5"]),
        ["head counts for three layers"] = (gguf => gguf["llama.attention.head_count"] = new uint[] { 4, 4, 4 }, ["head_count", "3", "2"]),
        ["head counts for one layer"] = (gguf => gguf["llama.attention.head_count"] = new uint[] { 4 }, ["head_count", "1", "2"]),
        ["head counts of floats"] = (gguf => gguf["llama.attention.head_count"] = new[] { 4f, 4f }, ["head_count", "Float32"]),
        ["head counts of strings"] = (gguf => gguf["llama.attention.head_count"] = new[] { "4", "4" }, ["head_count", "String"]),
        ["head counts negative"] = (gguf => gguf["llama.attention.head_count"] = new[] { -4, 4 }, ["head_count", "-4"]),
        ["kv heads of the second layer 0"] = (gguf => gguf["llama.attention.head_count_kv"] = new uint[] { 2, 0 }, ["blk.1.attn_k", "8", "0"]),
        ["key length odd"] = (gguf => { gguf["llama.attention.key_length"] = gguf["llama.attention.value_length"] = gguf["llama.rope.dimension_count"] = 3u; foreach (int layer in (int[])[0, 1]) { gguf.Retype($"blk.{layer}.attn_q.weight", TensorType.F32, 16, 12); gguf.Retype($"blk.{layer}.attn_k.weight", TensorType.F32, 16, 6); gguf.Retype($"blk.{layer}.attn_v.weight", TensorType.F32, 16, 6); gguf.Retype($"blk.{layer}.attn_output.weight", TensorType.F32, 12, 16); } }, ["key_length", "3"]),
        ["value length of another size"] = (gguf => gguf["llama.attention.value_length"] = 8u, []),
        ["rotary dimensions of another size"] = (gguf => gguf["llama.rope.dimension_count"] = 2u, ["rope.dimension_count", "2", "4"]),
        ["rotary dimensions 0"] = (gguf => gguf["llama.rope.dimension_count"] = 0u, ["rope.dimension_count", "0"]),
        ["rope base NaN"] = (gguf => gguf["llama.rope.freq_base"] = float.NaN, ["rope.freq_base", "NaN"]),
        ["rope base 0"] = (gguf => gguf["llama.rope.freq_base"] = 0f, ["rope.freq_base", "0"]),
        ["rope base infinite"] = (gguf => gguf["llama.rope.freq_base"] = float.PositiveInfinity, ["rope.freq_base", "Infinity"]),
        ["rope base of 64 bits"] = (gguf => gguf["llama.rope.freq_base"] = 1e4, ["rope.freq_base", "Float64", "Float32"]),
        ["rope factor NaN"] = (gguf => gguf["llama.rope.scaling.factor"] = float.NaN, ["rope.scaling.factor", "NaN"]),
        ["rope factor negative"] = (gguf => gguf["llama.rope.scaling.factor"] = -8f, ["rope.scaling.factor", "-8"]),
        ["rope type unknown"] = (gguf => gguf["llama.rope.scaling.type"] = "quux", ["rope.scaling.type", "quux"]),
        ["rope type a number"] = (gguf => gguf["llama.rope.scaling.type"] = 2u, ["rope.scaling.type", "UInt32"]),
        ["head count of an unknown architecture 0"] = (gguf => { NativeCases.Rename(gguf, "baichuan"); gguf["baichuan.attention.head_count"] = new uint[] { 4, 0 }; gguf["baichuan.attention.head_count_kv"] = 2u; }, ["blk.1.attn_q.weight", "16", "0"]),
        ["norm of an unknown architecture in F16"] = (gguf => { NativeCases.Rename(gguf, "baichuan"); gguf.Retype("output_norm.weight", TensorType.F16); }, ["output_norm.weight", "F16"]),
        ["no experts in an architecture of experts"] = (gguf => NativeCases.Rename(gguf, "qwen3moe"), ["qwen3moe.expert_count", "0"]),
        ["experts of an unknown architecture"] = (gguf => { NativeCases.Rename(gguf, "baichuan"); gguf["baichuan.expert_used_count"] = 2u; }, ["baichuan.expert_used_count", "2", "0"]),
        ["eps missing"] = (gguf => gguf.Remove("llama.attention.layer_norm_rms_epsilon"), ["layer_norm_rms_epsilon", "missing"]),
        ["eps NaN"] = (gguf => gguf["llama.attention.layer_norm_rms_epsilon"] = float.NaN, ["layer_norm_rms_epsilon", "NaN"]),
        ["eps negative"] = (gguf => gguf["llama.attention.layer_norm_rms_epsilon"] = -1f, ["layer_norm_rms_epsilon", "-1"]),
        ["experts of which none is used"] = (gguf => gguf["llama.expert_count"] = 4u, []),
        ["experts used that are not there"] = (gguf => gguf["llama.expert_used_count"] = 2u, ["expert_used_count", "2", "0"]),
        ["experts used per layer that are not there"] = (gguf => gguf["llama.expert_used_count"] = new[] { 0u, 2u }, ["expert_used_count", "2", "0"]),
        ["experts 513"] = (gguf => gguf["llama.expert_count"] = 513u, ["expert_count", "513", "512"]),
        ["experts without tensors"] = (gguf => gguf["llama.expert_count"] = gguf["llama.expert_used_count"] = 2u, ["ffn_"]),
        ["expert groups without experts"] = (gguf => gguf["llama.expert_group_count"] = 2u, ["expert_group_count", "2", "0"]),
        ["next-token layers beyond the layers"] = (gguf => gguf["llama.nextn_predict_layers"] = 3u, ["nextn_predict_layers", "3", "2"]),
        ["a tensor of no role"] = (gguf => gguf.Add("quux.weight", TensorType.F32, 16), ["quux.weight"]),
        ["a tensor beyond the layers"] = (gguf => gguf.Add("blk.2.attn_q.weight", TensorType.F32, 16, 16), ["blk.2.attn_q.weight"]),
        ["a scale in a type of blocks"] = (gguf => gguf.Add("blk.0.attn_q.scale", TensorType.Q8_0, 32), ["blk.0.attn_q.scale"]),
        ["rotary factors of another length"] = (gguf => gguf.Add("rope_freqs.weight", TensorType.F32, 7), ["rope_freqs.weight", "[7]", "[2]"]),
        ["rotary factors in F16"] = (gguf => gguf.Add("rope_freqs.weight", TensorType.F16, 2), ["rope_freqs.weight", "F16"]),
        ["bias in I32"] = (gguf => gguf.Add("blk.0.ffn_down.bias", TensorType.I32, 16), ["blk.0.ffn_down.bias", "I32"]),
        ["tensor missing"] = (gguf => gguf.RemoveTensor(Q), [Q, "missing"]),
        ["no tokenizer model"] = (gguf => gguf.Remove("tokenizer.ggml.model"), ["tokenizer.ggml.model", "missing"]),
        ["no tokens"] = (gguf => gguf.Remove(Tokens), [Tokens, "missing"]),
        ["tokens empty"] = (gguf => gguf[Tokens] = Array.Empty<string>(), [Tokens]),
        ["tokens of numbers"] = (gguf => gguf[Tokens] = new int[266], [Tokens, "Int32", "String"]),
        ["tokens fewer than the embedding"] = (gguf => gguf[Tokens] = TokensOf(gguf)[..^1], ["[16, 266]", "[16, 265]"]),
        ["tokens the same"] = (gguf => TokensOf(gguf)[5] = TokensOf(gguf)[6], [Tokens, "5", "6"]),
        ["tokens the same up to a NUL"] = (gguf => TokensOf(gguf)[5] = TokensOf(gguf)[6] + "\0x", [Tokens, "5", "NUL"]),
        ["tokens the same once named"] = (gguf => (TokensOf(gguf)[5], TokensOf(gguf)[6]) = ("", "[EMPTY_5]"), [Tokens, "5", "6"]),
        ["token types fewer"] = (gguf => gguf["tokenizer.ggml.token_type"] = new int[265], ["token_type", "265", "266"]),
        ["token types of bytes"] = (gguf => gguf["tokenizer.ggml.token_type"] = new byte[266], ["token_type", "UInt8", "Int32"]),
        ["scores fewer"] = (gguf => gguf["tokenizer.ggml.scores"] = new float[265], ["scores", "265", "266"]),
        ["scores of strings"] = (gguf => gguf["tokenizer.ggml.scores"] = new[] { "x" }, ["scores", "String"]),
        ["scores NaN"] = (gguf => gguf["tokenizer.ggml.scores"] = Enumerable.Repeat(float.NaN, 266).ToArray(), ["scores", "NaN"]),
        ["merges of numbers"] = (gguf => gguf["tokenizer.ggml.merges"] = new[] { 1 }, ["merges", "Int32"]),
        ["eos beyond the tokens"] = (gguf => gguf["tokenizer.ggml.eos_token_id"] = 266u, ["eos_token_id", "266"]),
        ["fim token beyond the tokens"] = (gguf => gguf["tokenizer.ggml.fim_pre_token_id"] = 5000u, ["fim_pre_token_id", "5000", "266"]),
        ["eos signed"] = (gguf => gguf["tokenizer.ggml.eos_token_id"] = -1, ["eos_token_id", "Int32", "UInt32"]),
        ["flag a number"] = (gguf => gguf["tokenizer.ggml.add_bos_token"] = 1u, ["add_bos_token", "UInt32", "Bool"]),
        ["chat template a number"] = (gguf => gguf["tokenizer.chat_template"] = 1u, ["chat_template", "UInt32", "String"]),
        ["Gemma's tokenizer without BOS"] = (gguf => gguf["tokenizer.ggml.model"] = "gemma4", ["bos_token_id", "gemma4"]),
        ["a byte token where there are none"] = (gguf => { gguf["tokenizer.ggml.model"] = "bert"; ((int[])gguf["tokenizer.ggml.token_type"])[9] = 6; }, ["token_type", "9"]),
        ["SentencePiece byte missing"] = (gguf => TokensOf(gguf)[Array.IndexOf(TokensOf(gguf), "<0x7F>")] = "quux", [Tokens, "<0x7F>"]),
        ["SentencePiece score infinite"] = (gguf => ((float[])gguf["tokenizer.ggml.scores"])[9] = float.PositiveInfinity, ["scores", "9"]),
    };
}
