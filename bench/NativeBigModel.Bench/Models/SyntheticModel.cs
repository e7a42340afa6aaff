using System.Collections.Immutable;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Bench.Models;

/// <summary>A model of a real one's shape with random weights: its speeds are real, its texts are not.</summary>
/// <param name="Name">As contests and results call it.</param>
/// <param name="Architecture">llama.cpp's name of the graph: llama or qwen3moe.</param>
/// <param name="Type">Of the weights, mixed as llama-quantize mixes them.</param>
/// <param name="Layers">Transformer layers.</param>
/// <param name="Width">Elements of the residual stream.</param>
/// <param name="FeedForward">Width of the feed-forward network, or of one expert.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KvHeads">Key and value heads.</param>
/// <param name="Vocabulary">Tokens.</param>
internal sealed record SyntheticModel(string Name, string Architecture, WeightType Type, int Layers, int Width, int FeedForward, int Heads, int KvHeads, int Vocabulary)
{
    private const int ContextLength = 4096;
    private const float SmallDeviation = 0.02f;
    private const string Embedding = "token_embd.weight", Output = "output.weight";

    /// <summary>Experts of a layer, and how many of them a token passes.</summary>
    public (int Count, int Used) Experts { get; init; }

    /// <summary>Elements of a head.</summary>
    public int HeadLength { get; init; } = Width / Heads;

    /// <summary>What it says, at the cost of any other text; null where nobody can foretell it.</summary>
    public CountingText? Text { get; init; }

    /// <summary>The shapes that contests know by name.</summary>
    public static ImmutableArray<SyntheticModel> Known { get; } =
    [
        new("7b-f16", "llama", WeightType.F16, 32, 4096, 11008, 32, 32, 32000), // Llama-2-7B
        new("7b-q4_0", "llama", WeightType.Q4_0, 32, 4096, 11008, 32, 32, 32000),
        new("8b-q4_k_m", "llama", WeightType.Q4_K_M, 32, 4096, 14336, 32, 8, 128256), // Llama-3.1-8B
        new("70b-q4_0", "llama", WeightType.Q4_0, 80, 8192, 28672, 64, 8, 32000), // Llama-2-70B
        new("mixtral-q4_0", "llama", WeightType.Q4_0, 32, 4096, 14336, 32, 8, 32000) { Experts = (8, 2) }, // Mixtral-8x7B
        new("30b-a3b-q4_0", "qwen3moe", WeightType.Q4_0, 48, 2048, 768, 32, 4, 151936) { Experts = (128, 8), HeadLength = 128 }, // Qwen3-30B-A3B
        new("7b-a1b-q4_0", "qwen3moe", WeightType.Q4_0, 16, 2048, 1024, 16, 16, 50304) { Experts = (64, 8) }, // sizes of OLMoE-1B-7B
        new("1b-q8_0", "llama", WeightType.Q8_0, 22, 2048, 5632, 32, 4, 32000), // TinyLlama-1.1B
        new("1b-f16", "llama", WeightType.F16, 22, 2048, 5632, 32, 4, 32000),
        new("160m-f16", "llama", WeightType.F16, 12, 768, 3072, 12, 12, 32000), // Llama-160M
    ];

    /// <summary>The shape of this name. With an ending of <see cref="CountingText"/>, for models in F16, a model that says such a text.</summary>
    /// <exception cref="InvalidOptionException">There is none; the message lists them.</exception>
    public static SyntheticModel Named(string name)
    {
        CountingText? text = CountingText.Named(name, out string shape);
        SyntheticModel model = Known.FirstOrDefault(model => model.Name == shape) ?? throw new InvalidOptionException($"'{shape}' is none of the models {string.Join(", ", Known.Select(model => model.Name))}");
        return text is null ? model
            : model.Type == WeightType.F16 ? model with { Name = name, Text = text }
            : throw new InvalidOptionException($"'{name}': {model.Type} weights say no text that can be foretold; F16 ones do");
    }

    /// <summary>What a plan is made of.</summary>
    public ModelShape Shape
    {
        get
        {
            TensorSpec[] wide = [.. Wide()];
            var layer = new LayerShape(Heads, KvHeads, HeadLength, HeadLength, FeedForward) { ExpertLength = Experts.Count > 0 ? FeedForward : 0 };
            var shape = new ModelShape
            {
                Architecture = Architecture, Name = Name, EmbeddingLength = Width, VocabularySize = Vocabulary, ContextLength = ContextLength,
                Layers = [.. Enumerable.Repeat(layer, Layers)], ExpertCount = Experts.Count, ExpertUsedCount = Experts.Used,
            };
            TensorType[] types = QuantizationMix.Choose(shape, Type, wide);
            return shape with { Tensors = [.. wide.Select((tensor, i) => tensor with { Type = types[i] })] };
        }
    }

    /// <summary>Every tensor in the type that it has in the file.</summary>
    public ImmutableArray<TensorSpec> Tensors => Shape.Tensors;

    /// <summary>Bytes of all tensors.</summary>
    public long WeightBytes => Shape.WeightBytes;

    /// <summary>The type that most of these bytes have.</summary>
    public TensorType MainType => Tensors.GroupBy(tensor => tensor.Type).MaxBy(group => group.Sum(tensor => tensor.Bytes))!.Key;

    /// <summary>Writes the model as a GGUF file, at the speed of the disk: one block of random weights of each type, repeated. An existing file is replaced at the end.</summary>
    public void WriteGguf(string path, CancellationToken cancel = default)
    {
        ImmutableArray<TensorSpec> tensors = Tensors;
        var blocks = tensors.Where(tensor => tensor.Dimensions.Length > 1).Select(tensor => (tensor.Type, Deviation: DeviationOf(tensor))).Distinct().AsParallel()
            .ToDictionary(kind => kind, kind => RandomWeights.Block(kind.Type, kind.Deviation));
        GgufFile.Write(path, Keys(), [.. tensors.Select((tensor, i) => new ModelTensor(tensor, tensor.Dimensions.Length == 1 ? new UniformSource(1, tensor.Rows, tensor.Columns) : Source(tensor, blocks[(tensor.Type, DeviationOf(tensor))], i)))], null, cancel);
    }

    // What all layers together add to the residual stream is less than a token's embedding, and what each adds is small, as GPT-2 begins its training: or all tokens become
    // alike, and choose the same experts.
    private float DeviationOf(TensorSpec tensor)
    {
        if (tensor.Name == Embedding) return 1;
        bool addsUp = tensor.Name.Contains(".attn_output.", StringComparison.Ordinal) || tensor.Name.Contains(".ffn_down", StringComparison.Ordinal);
        return SmallDeviation * MathF.Sqrt(4096f / Width) / (addsUp ? MathF.Sqrt(2 * Layers) : 1);
    }

    private TensorSource Source(TensorSpec tensor, byte[] block, int number) => Text is null || tensor.Name is not (Embedding or Output)
        ? new RepeatedSource(tensor.Type, tensor.Rows, tensor.Columns, block, number)
        : new NumberedRows(tensor.Type, tensor.Rows, tensor.Columns, block, tensor.Name == Output ? row => Text.Before((int)row, Vocabulary) : row => row);

    private GgufMetadata Keys()
    {
        var keys = new GgufMetadata
        {
            ["general.architecture"] = Architecture,
            ["general.name"] = Name,
            ["tokenizer.ggml.model"] = "none",
        };
        void Set(string key, int value) => keys[$"{Architecture}.{key}"] = (uint)value;
        Set("block_count", Layers);
        Set("context_length", ContextLength);
        Set("embedding_length", Width);
        Set("feed_forward_length", FeedForward);
        Set("vocab_size", Vocabulary);
        Set("attention.head_count", Heads);
        Set("attention.head_count_kv", KvHeads);
        Set("attention.key_length", HeadLength);
        Set("attention.value_length", HeadLength);
        Set("rope.dimension_count", HeadLength);
        keys[$"{Architecture}.attention.layer_norm_rms_epsilon"] = 1e-5f;
        keys[$"{Architecture}.rope.freq_base"] = 10000f;
        if (Experts.Count == 0) return keys;
        Set("expert_count", Experts.Count);
        Set("expert_used_count", Experts.Used);
        if (HasHeadNorms) Set("expert_feed_forward_length", FeedForward);
        return keys;
    }

    private bool HasHeadNorms => Architecture == "qwen3moe";

    private IEnumerable<TensorSpec> Wide()
    {
        int attention = Heads * HeadLength, keys = KvHeads * HeadLength;
        yield return Matrix("token_embd", Width, Vocabulary);
        for (int i = 0; i < Layers; i++)
        {
            string layer = $"blk.{i}.";
            yield return Vector(layer + "attn_norm", Width);
            yield return Matrix(layer + "attn_q", Width, attention);
            yield return Matrix(layer + "attn_k", Width, keys);
            yield return Matrix(layer + "attn_v", Width, keys);
            yield return Matrix(layer + "attn_output", attention, Width);
            if (HasHeadNorms)
            {
                yield return Vector(layer + "attn_q_norm", HeadLength);
                yield return Vector(layer + "attn_k_norm", HeadLength);
            }
            yield return Vector(layer + "ffn_norm", Width);
            long[] experts = Experts.Count > 0 ? [Experts.Count] : [];
            string kind = Experts.Count > 0 ? "_exps" : "";
            if (Experts.Count > 0) yield return new(layer + "ffn_gate_inp.weight", [Width, Experts.Count], TensorType.F32);
            yield return Matrix($"{layer}ffn_gate{kind}", Width, FeedForward, experts);
            yield return Matrix($"{layer}ffn_up{kind}", Width, FeedForward, experts);
            yield return Matrix($"{layer}ffn_down{kind}", FeedForward, Width, experts);
        }
        yield return Vector("output_norm", Width);
        yield return Matrix("output", Width, Vocabulary);
    }

    private static TensorSpec Vector(string name, long length) => new(name + ".weight", [length], TensorType.F32);

    private static TensorSpec Matrix(string name, long columns, long rows, params long[] more) => new(name + ".weight", [columns, rows, .. more], TensorType.F16);
}
