using NativeBigModel.Bench.Models;

namespace NativeBigModel.Micro;

/// <summary>Small models with as many tensors as large ones, in a temporary folder.</summary>
internal sealed class Files : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbm-micro-").FullName;
    private readonly ModelStore _store;

    public Files() => _store = new(_folder);

    /// <summary>A model of 80 layers, narrow: 723 tensors in 60 MB.</summary>
    public static SyntheticModel Deep { get; } = new("deep", "llama", WeightType.F16, 80, 256, 512, 4, 2, 1024);

    /// <summary>The file.</summary>
    public string Gguf(SyntheticModel model) => _store.Gguf(model);

    /// <summary>The folder.</summary>
    public string Folder(SyntheticModel model) => _store.FolderAsync(model).GetAwaiter().GetResult();

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
