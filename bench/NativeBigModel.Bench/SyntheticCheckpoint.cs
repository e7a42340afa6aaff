using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace NativeBigModel.Bench;

/// <summary>A Llama-shaped Hugging Face folder of a given size: BF16 or F16 weights drawn from a normal distribution, in shards of half a gigabyte, with an index and no tokenizer.</summary>
internal static class SyntheticCheckpoint
{
    private const int Hidden = 4096, FeedForward = 11008, Heads = 32, KvHeads = 8, Vocabulary = 32000, HeadLength = Hidden / Heads;
    private const long ShardBytes = 512L << 20;

    /// <summary>Makes a checkpoint as the arguments GIGABYTES and ROUNDS ask, in a temporary folder that is gone afterwards.</summary>
    public static int Use(string[] arguments, Action<string, int> bench)
    {
        double gigabytes = arguments.Length > 0 ? double.Parse(arguments[0]) : 4;
        int rounds = arguments.Length > 1 ? int.Parse(arguments[1]) : 2;
        DirectoryInfo work = Directory.CreateTempSubdirectory("nbm-bench");
        try
        {
            bench(Make(Path.Combine(work.FullName, "model"), gigabytes), rounds);
            return 0;
        }
        finally { work.Delete(recursive: true); }
    }

    public static string Make(string folder, double gigabytes, bool half = false)
    {
        Directory.CreateDirectory(folder);
        long layerBytes = Layer(0).Sum(tensor => Elements(tensor.Shape)) * 2, endBytes = 2L * 2 * Vocabulary * Hidden;
        int layers = (int)Math.Max(1, Math.Round((gigabytes * 1e9 - endBytes) / layerBytes));
        List<(string Name, long[] Shape)> tensors =
        [
            ("model.embed_tokens.weight", [Vocabulary, Hidden]),
            .. Enumerable.Range(0, layers).SelectMany(Layer),
            ("model.norm.weight", [Hidden]),
            ("lm_head.weight", [Vocabulary, Hidden]),
        ];
        List<List<(string Name, long[] Shape)>> shards = [[]];
        long size = 0;
        foreach ((string, long[] Shape) tensor in tensors)
        {
            if (size > ShardBytes) (size, _) = (0, Append(shards));
            shards[^1].Add(tensor);
            size += Elements(tensor.Shape) * 2;
        }
        var map = new Dictionary<string, string>();
        byte[] weights = RandomWeights(half);
        for (int i = 0; i < shards.Count; i++)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:d5}-of-{shards.Count:d5}.safetensors");
            WriteShard(Path.Combine(folder, name), shards[i], weights, half ? "F16" : "BF16");
            foreach ((string tensor, _) in shards[i]) map[tensor] = name;
        }
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.Serialize(new { weight_map = map }));
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            architectures = (string[])["LlamaForCausalLM"],
            hidden_size = Hidden,
            intermediate_size = FeedForward,
            num_attention_heads = Heads,
            num_key_value_heads = KvHeads,
            num_hidden_layers = layers,
            vocab_size = Vocabulary,
            max_position_embeddings = 4096,
            rms_norm_eps = 1e-5,
            hidden_act = "silu",
            tie_word_embeddings = false,
            torch_dtype = half ? "float16" : "bfloat16",
        }));
        return folder;
    }

    private static int Append(List<List<(string, long[])>> shards)
    {
        shards.Add([]);
        return shards.Count;
    }

    private static IEnumerable<(string Name, long[] Shape)> Layer(int index)
    {
        string prefix = string.Create(CultureInfo.InvariantCulture, $"model.layers.{index}.");
        yield return (prefix + "input_layernorm.weight", [Hidden]);
        yield return (prefix + "self_attn.q_proj.weight", [Heads * HeadLength, Hidden]);
        yield return (prefix + "self_attn.k_proj.weight", [KvHeads * HeadLength, Hidden]);
        yield return (prefix + "self_attn.v_proj.weight", [KvHeads * HeadLength, Hidden]);
        yield return (prefix + "self_attn.o_proj.weight", [Hidden, Heads * HeadLength]);
        yield return (prefix + "post_attention_layernorm.weight", [Hidden]);
        yield return (prefix + "mlp.gate_proj.weight", [FeedForward, Hidden]);
        yield return (prefix + "mlp.up_proj.weight", [FeedForward, Hidden]);
        yield return (prefix + "mlp.down_proj.weight", [Hidden, FeedForward]);
    }

    private static long Elements(long[] shape) => shape.Aggregate(1L, (product, extent) => product * extent);

    // 64 MiB of normally distributed floats, repeated with shifts: real enough for a quantiser, fast enough to make.
    private static byte[] RandomWeights(bool half)
    {
        var random = new Random(20260101);
        var values = new ushort[32 << 20];
        ushort Bits(float value) => half ? BitConverter.HalfToUInt16Bits((Half)value) : (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
        for (int i = 0; i < values.Length; i += 2)
        {
            double radius = 0.02 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())), angle = 2 * Math.PI * random.NextDouble();
            values[i] = Bits((float)(radius * Math.Cos(angle)));
            values[i + 1] = Bits((float)(radius * Math.Sin(angle)));
        }
        return MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
    }

    private static void WriteShard(string path, List<(string Name, long[] Shape)> tensors, byte[] weights, string type)
    {
        var header = new Dictionary<string, object>();
        long offset = 0;
        foreach ((string name, long[] shape) in tensors)
        {
            long end = offset + Elements(shape) * 2;
            header[name] = new { dtype = type, shape, data_offsets = (long[])[offset, end] };
            offset = end;
        }
        byte[] json = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(header));
        using FileStream stream = File.Create(path);
        stream.Write(BitConverter.GetBytes((long)json.Length));
        stream.Write(json);
        var random = new Random(tensors.Count);
        for (long left = offset; left > 0;)
        {
            int from = random.Next(1 << 20) * 2, count = (int)Math.Min(left, weights.Length - from);
            stream.Write(weights, from, count);
            left -= count;
        }
        stream.Flush(flushToDisk: true); // what is not on the disk cannot be forgotten
    }
}
