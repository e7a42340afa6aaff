using NativeBigModel.Architectures;
using NativeBigModel.Planning;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>
/// Reads hyperparameters from GGUF keys (ggml/docs/gguf.md, "Standardized key-value pairs") and checks all that the engine would
/// otherwise assert and abort on.
/// </summary>
internal static class GgufShape
{
    private const int MaxExtent = 1 << 24;

    /// <exception cref="CheckpointException">A key is missing, has the wrong type, or contradicts another or a tensor.</exception>
    public static ModelShape Read(string file, GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors)
    {
        var keys = new GgufKeys(file, metadata);
        string architecture = keys.String("general.architecture") ?? throw keys.Error("general.architecture", "is missing");
        GgufKeyTypes.Check(keys, metadata, architecture);
        string Key(string name) => $"{architecture}.{name}";
        int layers = keys.Int(Key("block_count"), 1, DecoderConfig.MaxLayers) ?? throw keys.Error(Key("block_count"), "is missing");
        int embedding = keys.Int(Key("embedding_length"), 1, MaxExtent) ?? throw keys.Error(Key("embedding_length"), "is missing");
        int[] heads = keys.PerLayer(Key("attention.head_count"), layers) ?? new int[layers];
        int[] kvHeads = keys.PerLayer(Key("attention.head_count_kv"), layers) ?? heads;
        int[] feedForward = keys.PerLayer(Key("feed_forward_length"), layers) ?? new int[layers];
        int? window = keys.Int(Key("attention.sliding_window"), 0, int.MaxValue) is { } tokens and > 0 ? tokens : null;
        // A graph of ours without windows attends to everything: right as far as the window reaches. Elsewhere, which layers have it stands in the pattern.
        Architecture? family = ArchitectureRegistry.ForGguf(architecture);
        bool graphHasWindow = family is null || family.Graph.Windows;
        bool[]? windowed = keys.Flags(Key("attention.sliding_window_pattern"), layers) ?? Periodic(keys.Period(Key("attention.sliding_window_pattern")) ?? family?.Graph.WindowPeriod ?? 0, layers);
        if (family is { Graph.Windows: true } && windowed is not null && !windowed.Contains(true)) throw keys.Error(Key("attention.sliding_window_pattern"), "gives no layer a window, and the graph needs one that has it");
        LayerShape Layer(int i)
        {
            if (heads[i] > 0 && kvHeads[i] > 0 && heads[i] % kvHeads[i] != 0) throw keys.Error(Key("attention.head_count_kv"), $"is {kvHeads[i]} in layer {i} and must divide the head count, {heads[i]}");
            int defaultLength = heads[0] == 0 ? 0 : embedding / heads[0];
            int key = keys.Int(Key("attention.key_length"), 1, MaxExtent) ?? defaultLength, value = keys.Int(Key("attention.value_length"), 1, MaxExtent) ?? defaultLength;
            int rotary = keys.Int(Key("rope.dimension_count"), 0, MaxExtent) ?? key;
            var layer = new LayerShape(heads[i], kvHeads[i], key, value, feedForward[i], graphHasWindow && (windowed?[i] ?? false) ? window : null) { RotaryLength = rotary };
            return family?.Complete(layer, i, keys) ?? layer;
        }
        int context = keys.Int(Key("context_length"), 1, 1 << 30) ?? throw keys.Error(Key("context_length"), "is missing");
        bool anyContext = family?.Graph.AnyContext ?? false;
        int reach = anyContext ? GraphTraits.LongestContext : graphHasWindow ? context : Math.Min(context, window ?? context);
        var shape = new ModelShape
        {
            Architecture = architecture,
            Name = keys.String("general.name") ?? Path.GetFileNameWithoutExtension(file),
            Kind = family?.Graph.Kind ?? (keys.Flag(Key("attention.causal")) is false || architecture == "t5encoder" ? ModelKind.Encoder : ModelKind.Decoder),
            EmbeddingLength = embedding,
            VocabularySize = keys.ArrayLength("tokenizer.ggml.tokens") ?? keys.Int(Key("vocab_size"), 1, MaxExtent) ?? throw keys.Error(Key("vocab_size"), "is missing, and there is no tokenizer"),
            TokenTypeCount = keys.Int("tokenizer.ggml.token_type_count", 0, MaxExtent) ?? 0,
            ContextLength = reach,
            ContextCap = reach < context ? ModelShape.WindowCap(reach, architecture) : null,
            UsualContextLength = anyContext ? context : keys.String(Key("rope.scaling.type")) == "longrope" ? keys.Int(Key("rope.scaling.original_context_length"), 1, 1 << 30) : null,
            Layers = [.. Enumerable.Range(0, layers).Select(Layer)],
            ExpertCount = keys.Int(Key("expert_count"), 0, 512) ?? 0,
            ExpertUsedCount = keys.PerLayer(Key("expert_used_count"), layers)?.Max() ?? 0,
            Tensors = [.. tensors],
        };
        CheckExperts(keys, shape);
        GgufTensors.Check(keys, shape);
        if (family is not null) CheckHeads(keys, shape, family.Graph);
        GgufVocabulary.Check(keys, shape.VocabularySize);
        return shape;
    }

    // llama-hparams.cpp, set_swa_pattern.
    private static bool[]? Periodic(int period, int layers) => period == 0 ? null : [.. Enumerable.Range(0, layers).Select(layer => (layer + 1) % period != 0)];

    // llama-model.cpp, load_hparams: for every architecture.
    private static void CheckExperts(GgufKeys keys, ModelShape shape)
    {
        string Key(string name) => $"{shape.Architecture}.{name}";
        int layers = shape.Layers.Length, experts = shape.ExpertCount;
        // By llama.cpp's naming every such graph lays out expert tensors, and asserts that none is empty.
        if (experts == 0 && shape.Architecture.EndsWith("moe", StringComparison.Ordinal)) throw keys.Error(Key("expert_count"), "is 0 or missing, and the graph has experts");
        int used = (keys.PerLayer(Key("expert_used_count"), layers) ?? [0]).Max();
        if (used > experts) throw keys.Error(Key("expert_used_count"), $"is {used}, and there are {experts} experts");
        if (experts > 0 && used == 0) throw keys.Error(Key("expert_used_count"), $"is 0 or missing, and there are {experts} experts");
        int groups = keys.Int(Key("expert_group_count"), 0, MaxExtent) ?? 0;
        if (groups > 0 && groups >= experts) throw keys.Error(Key("expert_group_count"), $"is {groups}, and there are {experts} experts");
        if (groups > 1)
        {
            if (experts % groups != 0) throw keys.Error(Key("expert_group_count"), $"is {groups}, and must divide the expert count, {experts}");
            int usedGroups = keys.Int(Key("expert_group_used_count"), 0, MaxExtent) ?? 0;
            if (usedGroups < 1 || usedGroups >= groups) throw keys.Error(Key("expert_group_used_count"), $"is {usedGroups}, and must lie in [1, {groups - 1}]");
        }
        if (keys.Int(Key("nextn_predict_layers"), 0, MaxExtent) is { } next && next >= layers) throw keys.Error(Key("nextn_predict_layers"), $"is {next}, and there are {layers} layers");
    }

    // What the family's graph asserts.
    private static void CheckHeads(GgufKeys keys, ModelShape shape, GraphTraits graph)
    {
        LayerShape layer = shape.Layers[0];
        if (layer.HeadCount == 0) return;
        if (graph.EqualHeads && layer.KeyLength != layer.ValueLength) throw keys.Error($"{shape.Architecture}.attention.value_length", $"is {layer.ValueLength}, and the graph needs the key length, {layer.KeyLength}");
        if (layer.RotaryLength % 2 != 0)
            throw keys.Error($"{shape.Architecture}.{(layer.RotaryLength == layer.KeyLength ? "attention.key_length" : "rope.dimension_count")}", $"is {layer.RotaryLength}, and rotary positions need an even one");
        if (graph.WholeHeads && layer.RotaryLength != layer.KeyLength) throw keys.Error($"{shape.Architecture}.rope.dimension_count", $"is {layer.RotaryLength}, and the graph needs the key length, {layer.KeyLength}");
        if (layer.RotaryLength > layer.KeyLength) throw keys.Error($"{shape.Architecture}.rope.dimension_count", $"is {layer.RotaryLength}, and a head has {layer.KeyLength}");
        if (graph.AsWideAsModel && (long)layer.HeadCount * layer.KeyLength != shape.EmbeddingLength)
            throw keys.Error($"{shape.Architecture}.attention.key_length", $"is {layer.KeyLength}, and {layer.HeadCount} heads must be as wide as the model, {shape.EmbeddingLength}");
        string[] epsilons = [$"{shape.Architecture}.attention.layer_norm_rms_epsilon", $"{shape.Architecture}.attention.layer_norm_epsilon"];
        if (!epsilons.Any(keys.Names.Contains)) throw keys.Error(epsilons[0], "is missing");
        string type = keys.String($"{shape.Architecture}.rope.scaling.type") ?? "none";
        if (type is not ("none" or "linear" or "yarn" or "longrope")) throw keys.Error($"{shape.Architecture}.rope.scaling.type", $"is '{type}', and none, linear, yarn and longrope are known");
    }
}
