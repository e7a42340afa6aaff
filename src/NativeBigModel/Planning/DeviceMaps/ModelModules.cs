using System.Collections.Immutable;
using NativeBigModel.Architectures;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>A model's tensors as the modules that transformers makes of them, found by the names of either side.</summary>
internal sealed class ModelModules
{
    /// <summary>The class of <c>model.layers.N</c>, which is not divided.</summary>
    public const string LayerClass = "DecoderLayer";

    public const string Embedding = "model.embed_tokens.weight", FinalNorm = "model.norm.weight", Head = "lm_head.weight";

    private const string Layers = "model.layers";

    private sealed record Part(string Gguf, string Path, long Bytes, bool IsBuffer)
    {
        // transformers registers the embedding, the layers, what is behind them, and the head in this order.
        public int Rank => Path == Embedding ? 0 : ModuleTree.IsIn(Path, Layers) ? 1 : IsBuffer ? 3 : Path.StartsWith("model.", StringComparison.Ordinal) ? 2 : 4;
    }

    private readonly ImmutableArray<Part> _parts;
    private readonly Dictionary<string, string> _paths = new(StringComparer.Ordinal);

    private ModelModules(IEnumerable<Part> parts, bool tied)
    {
        _parts = [.. parts.OrderBy(part => part.Rank)];
        Tree = new(Build("", "", [.. _parts.Select(part => (part.Path.Split('.'), part))]), tied ? [[Embedding, Head]] : []);
        foreach (string path in Tree.Modules.Select(one => one.Path).Concat(Tree.Tensors.Select(one => one.Path))) _paths[path] = path;
        foreach (Part part in _parts)
        {
            _paths[part.Gguf] = part.Path;
            if (part.Gguf.LastIndexOf('.') is > 0 and int dot && part.Path.LastIndexOf('.') is > 0 and int end) _paths.TryAdd(part.Gguf[..dot], part.Path[..end]);
        }
    }

    public ModuleTree Tree { get; }

    /// <summary>The modules of a model.</summary>
    public static ModelModules Of(ModelShape model) => new(Parts(model), TiedEmbedding(model) is not null);

    /// <summary>The same with what llama.cpp adds in each place: a layer's keys and values, and a copy of an embedding that is used as output.</summary>
    public static ModelModules WithCache(ModelShape model, IReadOnlyList<Item> items) => new(
        [.. Parts(model), .. items.Where(item => item.KvBytes > 0).Select(item => new Part(item.Name + ".cache", $"{LayerPath(item.Name)}.cache", item.KvBytes, false))],
        tied: false);

    /// <summary>The path of a module or tensor by either name, or null where there is none.</summary>
    public string? Find(string name) => name.Length == 0 ? "" : _paths.GetValueOrDefault(name) ?? (LayerPath(name) is { } layer ? _paths.GetValueOrDefault(layer) : null);

    /// <summary>The path of <c>blk.N</c>, or of all layers for <c>blk</c>; null for another name.</summary>
    public static string? LayerPath(string name) => name == "blk" ? Layers : name.StartsWith("blk.", StringComparison.Ordinal) ? Layers + name[3..] : null;

    private static TensorSpec? TiedEmbedding(ModelShape model) =>
        model.Tensors.Any(tensor => tensor.Name == "output.weight") ? null : model.Tensors.FirstOrDefault(tensor => tensor.Name == "token_embd.weight");

    private static IEnumerable<Part> Parts(ModelShape model)
    {
        IReadOnlyDictionary<string, string>? names = ArchitectureRegistry.ForGguf(model.Architecture)?.Tensors.OneToOne();
        foreach (TensorSpec tensor in model.Tensors)
        {
            bool frequencies = tensor.Name == "rope_freqs.weight";
            yield return new(tensor.Name, frequencies ? "model.rotary_emb.inv_freq" : Path(names, tensor) ?? PlainPath(tensor), tensor.Bytes, frequencies);
        }
        if (TiedEmbedding(model) is { } embedding) yield return new("output.weight", Head, embedding.Bytes, false);
    }

    // Families that name their layers otherwise than model.layers are told apart by GGUF's names.
    private static string? Path(IReadOnlyDictionary<string, string>? names, TensorSpec tensor)
    {
        string layer = $"{tensor.Layer}", gguf = tensor.Layer < 0 ? tensor.Name : tensor.Name.Replace($"blk.{layer}.", "blk.{}.", StringComparison.Ordinal);
        return names?.GetValueOrDefault(gguf)?.Replace("{}", layer, StringComparison.Ordinal) is { } path && (ModuleTree.IsIn(path, "model") || ModuleTree.IsIn(path, "lm_head")) ? path : null;
    }

    // For a graph whose Hugging Face names are not known: the modules that all decoders have, and GGUF's names within.
    private static string PlainPath(TensorSpec tensor) => tensor.Layer >= 0
        ? $"{Layers}.{tensor.Layer}.{tensor.Stack}{tensor.Name[$"{tensor.Stack}blk.{tensor.Layer}.".Length..]}"
        : tensor.Name[tensor.Stack.Length..].Split('.', 2) switch
    {
        ["token_embd", var rest] => $"model.embed_tokens.{rest}",
        ["output_norm", var rest] => $"model.norm.{tensor.Stack}{rest}",
        ["output", var rest] => $"lm_head.{rest}",
        _ => $"model.{tensor.Name}",
    };

    private static Module Build(string name, string path, IReadOnlyList<(string[] Names, Part Part)> beneath)
    {
        int depth = path.Length == 0 ? 0 : path.Split('.').Length;
        ImmutableArray<ModuleTensor> Own(bool buffers) =>
            [.. beneath.Where(one => one.Names.Length == depth + 1 && one.Part.IsBuffer == buffers).Select(one => new ModuleTensor(one.Names[depth], one.Part.Bytes))];
        IEnumerable<Module> children = beneath.Where(one => one.Names.Length > depth + 1).GroupBy(one => one.Names[depth])
            .Select(child => Build(child.Key, ModuleTree.Join(path, child.Key), [.. child]));
        return new(name, depth == 3 && ModuleTree.IsIn(path, Layers) ? LayerClass : "Module", Own(buffers: false), Own(buffers: true), [.. children]);
    }
}
