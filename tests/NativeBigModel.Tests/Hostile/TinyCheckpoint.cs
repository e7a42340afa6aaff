using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using NativeBigModel.Tests.Tokenizers;

namespace NativeBigModel.Tests.Hostile;

/// <summary>
/// The smallest whole model, made here: two layers of width 16 in F32, in two shards with an index and a byte-level tokenizer, or with one of
/// SentencePiece's; and the same as a GGUF, made by the library's own converter. The tests spoil copies of it.
/// </summary>
internal static class TinyCheckpoint
{
    public const string Index = "model.safetensors.index.json";
    public const string First = "model-00001-of-00002.safetensors";
    public const string Second = "model-00002-of-00002.safetensors";
    public const int VocabularySize = Samples.SentencePieceSize;

    private static readonly Lazy<byte[]> s_gguf = new(() => Convert(Files()));
    private static readonly Lazy<byte[]> s_sentencePieceGguf = new(() => Convert(SentencePieceFiles()));

    /// <summary>The GGUF with the byte-level vocabulary.</summary>
    public static byte[] Gguf => [.. s_gguf.Value];

    /// <summary>The GGUF with the SentencePiece vocabulary.</summary>
    public static byte[] SentencePieceGguf => [.. s_sentencePieceGguf.Value];

    public static JsonObject Config() => JsonNode.Parse($$"""
        {
          "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "vocab_size": {{VocabularySize}}, "max_position_embeddings": 64,
          "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false, "dtype": "float32"
        }
        """)!.AsObject();

    /// <summary>Names and shapes of the tensors, in file order.</summary>
    public static IEnumerable<(string Name, long[] Shape)> Tensors()
    {
        yield return ("model.embed_tokens.weight", [VocabularySize, 16]);
        yield return ("model.norm.weight", [16]);
        yield return ("lm_head.weight", [VocabularySize, 16]);
        for (int layer = 0; layer < 2; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            yield return (prefix + "input_layernorm.weight", [16]);
            yield return (prefix + "self_attn.q_proj.weight", [16, 16]);
            yield return (prefix + "self_attn.k_proj.weight", [8, 16]);
            yield return (prefix + "self_attn.v_proj.weight", [8, 16]);
            yield return (prefix + "self_attn.o_proj.weight", [16, 16]);
            yield return (prefix + "post_attention_layernorm.weight", [16]);
            yield return (prefix + "mlp.gate_proj.weight", [24, 16]);
            yield return (prefix + "mlp.up_proj.weight", [24, 16]);
            yield return (prefix + "mlp.down_proj.weight", [16, 24]);
        }
    }

    /// <summary>Every file of the folder, by name.</summary>
    public static Dictionary<string, byte[]> Files()
    {
        List<(string Name, long[] Shape)> tensors = [.. Tensors()];
        List<(string, long[])> first = [.. tensors.Where(tensor => !tensor.Name.Contains(".1.", StringComparison.Ordinal))];
        List<(string, long[])> second = [.. tensors.Except(first)];
        JsonObject map = [];
        foreach ((string name, _) in first) map[name] = First;
        foreach ((string name, _) in second) map[name] = Second;
        return new()
        {
            ["config.json"] = Utf8(Config()),
            [Index] = Utf8(new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = 0 }, ["weight_map"] = map }),
            [First] = RawSafetensors.Of(first).ToBytes(),
            [Second] = RawSafetensors.Of(second).ToBytes(),
            ["tokenizer.json"] = Utf8(Samples.ByteLevel()),
            ["tokenizer_config.json"] = Utf8(new JsonObject { ["eos_token"] = "<|endoftext|>", ["chat_template"] = "{{ messages }}" }),
        };
    }

    /// <summary>The same model with tokenizer.model in place of tokenizer.json.</summary>
    public static Dictionary<string, byte[]> SentencePieceFiles()
    {
        Dictionary<string, byte[]> files = Files();
        files.Remove("tokenizer.json");
        files["tokenizer.model"] = Samples.SentencePieceModel();
        files["tokenizer_config.json"] = Utf8(Samples.Config());
        return files;
    }

    /// <summary>The same model with a tokenizer of another kind.</summary>
    public static Dictionary<string, byte[]> WithTokenizer(string kind)
    {
        Dictionary<string, byte[]> files = Files();
        files.Remove("tokenizer.json");
        foreach ((string name, byte[] bytes) in Samples.FilesOf(kind)) files[name] = bytes;
        return files;
    }

    public static byte[] Utf8(JsonNode json) => Encoding.UTF8.GetBytes(json.ToJsonString());

    private static byte[] Convert(Dictionary<string, byte[]> files)
    {
        using var folder = new HostileFolder(files);
        string path = Path.Combine(folder.Path, "model.gguf");
        GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), path, WeightType.F32).GetAwaiter().GetResult();
        return File.ReadAllBytes(path);
    }
}

/// <summary>Files in a folder of their own, deleted afterwards.</summary>
internal sealed class HostileFolder : IDisposable
{
    public HostileFolder(IReadOnlyDictionary<string, byte[]> files)
    {
        foreach ((string name, byte[] bytes) in files) File.WriteAllBytes(System.IO.Path.Combine(Path, name), bytes);
    }

    public string Path { get; } = Directory.CreateTempSubdirectory("nbm-hostile-").FullName;

    public string In(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <summary>A safetensors file in parts: the header's text, whatever it says, and the data.</summary>
internal sealed record RawSafetensors(string Header, byte[] Data)
{
    /// <summary>The length that the file states, where it is not the header's own.</summary>
    public ulong? StatedLength { get; init; }

    /// <summary>A valid file with values that differ from tensor to tensor.</summary>
    public static RawSafetensors Of(IEnumerable<(string Name, long[] Shape)> tensors)
    {
        var random = new Random(7);
        JsonObject header = new() { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        using var data = new MemoryStream();
        foreach ((string name, long[] shape) in tensors)
        {
            long begin = data.Length;
            for (long i = shape.Aggregate(1L, (a, b) => a * b); i > 0; i--) data.Write(BitConverter.GetBytes((shape.Length == 1 ? 1 : 0) + 0.2f * (random.NextSingle() - 0.5f)));
            header[name] = new JsonObject
            {
                ["dtype"] = "F32",
                ["shape"] = new JsonArray([.. shape.Select(extent => (JsonNode)extent)]),
                ["data_offsets"] = new JsonArray(begin, data.Length),
            };
        }
        return new(header.ToJsonString(), data.ToArray());
    }

    public byte[] ToBytes()
    {
        byte[] header = Encoding.UTF8.GetBytes(Header);
        byte[] length = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, StatedLength ?? (ulong)header.Length);
        return [.. length, .. header, .. Data];
    }
}
