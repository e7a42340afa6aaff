using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

/// <summary>A llama of one layer and 32 tokens, made in memory: enough to call every function of the binding in milliseconds.</summary>
internal static unsafe class TinyModel
{
    public const int Vocabulary = 32, Width = 32, Context = 64;

    public static readonly (string Name, long[] Dimensions)[] Tensors =
    [
        ("token_embd.weight", [Width, Vocabulary]),
        ("output_norm.weight", [Width]),
        ("output.weight", [Width, Vocabulary]),
        ("blk.0.attn_norm.weight", [Width]),
        ("blk.0.attn_q.weight", [Width, Width]),
        ("blk.0.attn_k.weight", [Width, Width]),
        ("blk.0.attn_v.weight", [Width, Width]),
        ("blk.0.attn_output.weight", [Width, Width]),
        ("blk.0.ffn_norm.weight", [Width]),
        ("blk.0.ffn_gate.weight", [Width, 2 * Width]),
        ("blk.0.ffn_up.weight", [Width, 2 * Width]),
        ("blk.0.ffn_down.weight", [2 * Width, Width]),
    ];

    /// <summary>Loads the model through llama_model_init_from_user.</summary>
    public static LlamaModelHandle Load(LlamaModelParams? parameters = null)
    {
        EngineLibrary.Load();
        using GgufHandle metadata = Metadata();
        return LlamaModelApi.LlamaModelInitFromUser(metadata, &Fill, null, parameters ?? LlamaModelApi.LlamaModelDefaultParams());
    }

    public static GgufHandle Metadata()
    {
        byte[] header = Header();
        fixed (byte* data = header) return GgufApi.GgufInitFromBuffer(data, (nuint)header.Length, new GgufInitParams { NoAlloc = 1 });
    }

    /// <summary>The whole file: header and weights.</summary>
    public static byte[] File() => [.. Header(), .. Tensors.SelectMany(static t => MemoryMarshal.AsBytes<float>(Weights(t.Name, Count(t.Dimensions))).ToArray())];

    /// <summary>Small repeatable numbers that differ from tensor to tensor; ones for the norms.</summary>
    public static float[] Weights(string name, long count)
    {
        if (name.EndsWith("norm.weight", StringComparison.Ordinal)) return [.. Enumerable.Repeat(1f, (int)count)];
        uint state = 1;
        foreach (char c in name) state = state * 31 + c;
        float[] weights = new float[count];
        foreach (ref float weight in weights.AsSpan())
        {
            state = state * 1664525 + 1013904223;
            weight = ((state >> 8) / 16777216f - 0.5f) * 0.4f;
        }
        return weights;
    }

    public static string[] Pieces { get; } = ["<unk>", "<s>", "</s>", "▁", "▁a", .. Enumerable.Range('a', 26).Select(static c => ((char)c).ToString()), "é"];

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Fill(GgmlTensor* tensor, void* userData)
    {
        float[] weights = Weights(Utf8.Text(tensor->Name), tensor->Ne[0] * tensor->Ne[1]);
        fixed (float* data = weights) GgmlBackendApi.GgmlBackendTensorSet(tensor, data, 0, GgmlApi.GgmlNBytes(tensor));
    }

    private static long Count(long[] dimensions) => dimensions.Aggregate(1L, static (product, extent) => product * extent);

    private static byte[] Header()
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        (string Key, Action Write)[] pairs =
        [
            ("general.architecture", () => Text("llama")),
            ("general.name", () => Text("tiny")),
            ("llama.context_length", () => UInt32(Context)),
            ("llama.embedding_length", () => UInt32(Width)),
            ("llama.block_count", () => UInt32(1)),
            ("llama.feed_forward_length", () => UInt32(2 * Width)),
            ("llama.attention.head_count", () => UInt32(2)),
            ("llama.attention.layer_norm_rms_epsilon", () => { writer.Write(6); writer.Write(1e-5f); }),
            ("tokenizer.ggml.model", () => Text("llama")),
            ("tokenizer.ggml.tokens", () => { Array(8); foreach (string piece in Pieces) Raw(piece); }),
            ("tokenizer.ggml.scores", () => { Array(6); for (int i = 0; i < Vocabulary; i++) writer.Write(-(float)i); }),
            ("tokenizer.ggml.token_type", () => { Array(5); for (int i = 0; i < Vocabulary; i++) writer.Write(i == 0 ? 2 : i < 3 ? 3 : 1); }),
        ];
        writer.Write("GGUF"u8);
        writer.Write(3);
        writer.Write((long)Tensors.Length);
        writer.Write((long)pairs.Length);
        foreach ((string key, Action write) in pairs)
        {
            Raw(key);
            write();
        }
        long offset = 0;
        foreach ((string name, long[] dimensions) in Tensors)
        {
            Raw(name);
            writer.Write(dimensions.Length);
            foreach (long extent in dimensions) writer.Write(extent);
            writer.Write((int)TensorType.F32);
            writer.Write(offset);
            offset += Count(dimensions) * sizeof(float);
        }
        while (stream.Length % 32 != 0) writer.Write((byte)0);
        return stream.ToArray();

        void Raw(string text)
        {
            writer.Write((long)Encoding.UTF8.GetByteCount(text));
            writer.Write(Encoding.UTF8.GetBytes(text));
        }
        void Text(string text)
        {
            writer.Write(8);
            Raw(text);
        }
        void UInt32(int value)
        {
            writer.Write(4);
            writer.Write(value);
        }
        void Array(int type)
        {
            writer.Write(9);
            writer.Write(type);
            writer.Write((long)Vocabulary);
        }
    }
}
