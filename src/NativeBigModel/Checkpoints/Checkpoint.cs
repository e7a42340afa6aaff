using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Checkpoints.HuggingFace;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;
using NativeBigModel.Tokenizers;

namespace NativeBigModel;

/// <summary>The file formats a checkpoint may have.</summary>
public enum CheckpointFormat
{
    /// <summary>A folder with config.json, weights in safetensors or PyTorch files, and tokenizer files.</summary>
    HuggingFace,
    /// <summary>A GGUF file, or the parts of a split one.</summary>
    Gguf,
}

/// <summary>
/// A model on disk: its shapes, hyperparameters and tokenizer. Opening one reads headers only, holds no file open, needs no native library,
/// and takes well under a second for the largest models.
/// </summary>
public abstract class Checkpoint
{
    private protected Checkpoint(string path, CheckpointFormat format, IReadOnlyList<StoredTensor> stored, ModelShape shape, string? note = null) =>
        (Path, Format, StoredTensors, Notes) = (path, format, stored, [.. ((string?[])[note, shape.ContextCap]).OfType<string>()]);

    /// <summary>Full path of the folder or file.</summary>
    public string Path { get; }

    /// <summary>The format that was found there.</summary>
    public CheckpointFormat Format { get; }

    /// <summary>The tensors as the files hold them; empty where only a configuration is there.</summary>
    public IReadOnlyList<StoredTensor> StoredTensors { get; }

    /// <summary>What a user should know about how the checkpoint was read, one sentence each.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>How the files hold quantised weights, such as <c>GPTQ, 4 bits, groups of 128</c>; null where ggml has the files' own types.</summary>
    public virtual string? Quantization => null;

    /// <summary>Whether the weights are there, and not only the configuration that describes them.</summary>
    public bool HasWeights => StoredTensors.Count > 0;

    /// <summary>Opens a Hugging Face folder or a GGUF file (any part of a split one).</summary>
    /// <param name="path">The folder or file.</param>
    /// <exception cref="CheckpointException">There is no checkpoint at <paramref name="path"/>, or it is malformed.</exception>
    /// <exception cref="UnsupportedModelException">It is well formed, and this version cannot compute it faithfully.</exception>
    public static Checkpoint Open(string path) => Open(path, []);

    /// <summary>Opens a Hugging Face folder and merges adapters into its weights, as they are read: nothing is written.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="adapters">Folders of LoRA adapters in PEFT's layout, merged one after the other.</param>
    /// <exception cref="CheckpointException">There is no checkpoint at <paramref name="path"/>, or it or an adapter is malformed.</exception>
    /// <exception cref="UnsupportedModelException">It is well formed, and this version cannot compute it faithfully.</exception>
    public static Checkpoint Open(string path, IReadOnlyList<string> adapters)
    {
        ArgumentNullException.ThrowIfNull(adapters);
        ArgumentException.ThrowIfNullOrEmpty(path);
        string full = System.IO.Path.GetFullPath(path);
        if (Directory.Exists(full)) return HuggingFaceCheckpoint.Open(full, adapters);
        if (File.Exists(full) && adapters.Count > 0) throw new UnsupportedModelException($"{System.IO.Path.GetFileName(full)}: adapters are merged into Hugging Face folders, and not into GGUF files");
        if (File.Exists(full)) return GgufCheckpoint.Open(full);
        throw new CheckpointException(path, "path", "there is no such folder or file");
    }

    /// <summary>The model's shape with its weights stored as <paramref name="type"/>: the exact name, extents and type of every tensor.</summary>
    /// <exception cref="UnsupportedModelException">The weights cannot be brought into that type.</exception>
    public ModelShape Describe(WeightType type = WeightType.AsStored) => Define(type).Shape;

    /// <summary>The Jinja sources of the model's chat templates by name, most often one, <c>default</c>; empty where it has none.</summary>
    public IReadOnlyDictionary<string, string> ChatTemplates => Text.ChatTemplates;

    /// <summary>What it says of texts.</summary>
    internal abstract CheckpointText Text { get; }

    /// <summary>The model in the engine's terms.</summary>
    /// <param name="type">How to store the weights.</param>
    /// <param name="preparedText">Whether texts will go through <see cref="CheckpointText.Preparation"/> first; a file for others must stand on its own.</param>
    /// <param name="options">What else a conversion asks for.</param>
    internal abstract ModelDefinition Define(WeightType type, bool preparedText = false, ConversionOptions? options = null);
}
