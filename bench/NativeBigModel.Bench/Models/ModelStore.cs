namespace NativeBigModel.Bench.Models;

/// <summary>Synthetic models in a work folder, each made once and read by all contenders.</summary>
internal sealed class ModelStore(string folder)
{
    /// <summary>The GGUF file of a model, made if it is not there.</summary>
    public string Gguf(SyntheticModel model)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, model.Name + ".gguf");
        if (!File.Exists(path)) model.WriteGguf(path);
        return path;
    }

    /// <summary>The same weights as a Hugging Face folder, made of the file if it is not there; for dense models in floats.</summary>
    public async Task<string> FolderAsync(SyntheticModel model)
    {
        string path = Path.Combine(folder, model.Name + "-hf");
        // config.json is written last.
        if (File.Exists(Path.Combine(path, "config.json"))) return path;
        if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
        await FolderConverter.ConvertAsync(Checkpoint.Open(Gguf(model)), path);
        return path;
    }

    /// <summary>Removes what was made of a model.</summary>
    public void Remove(SyntheticModel model)
    {
        File.Delete(Path.Combine(folder, model.Name + ".gguf"));
        string path = Path.Combine(folder, model.Name + "-hf");
        if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
    }
}
