using System.Text.Json.Nodes;

namespace NativeBigModel.Tests;

/// <summary>Tokenizer files beside the smallest Llama that has their vocabulary, so that a tokenizer is tested without the model it came with.</summary>
internal sealed class TokenizerCheckpoint : IDisposable
{
    private static readonly string[] s_weights = ["config.json", "config.v4.json", "reference.json"];

    private readonly TempFolder _folder = new();

    /// <param name="source">A Hugging Face folder; of its config.json the vocabulary's size, the token ids and the model's type are kept.</param>
    /// <param name="without">Files to leave out.</param>
    public TokenizerCheckpoint(string source, params string[] without)
    {
        foreach (string file in Directory.EnumerateFiles(source).Where(IsTokenizerFile).Where(file => !without.Contains(System.IO.Path.GetFileName(file)))) File.Copy(file, _folder[System.IO.Path.GetFileName(file)]);
        JsonObject given = JsonNode.Parse(File.ReadAllBytes(System.IO.Path.Combine(source, "config.json")))!.AsObject();
        TinyModel model = new("LlamaForCausalLM") { Vocabulary = given["vocab_size"]!.GetValue<int>(), Layers = 1, Hidden = 32, FeedForward = 32, Heads = 1, HeadLength = 32, Tied = true };
        model.Write(_folder.Path);
        JsonObject config = model.Config();
        foreach (string key in (string[])["bos_token_id", "eos_token_id", "pad_token_id", "model_type"]) config[key] = given[key]?.DeepClone();
        File.WriteAllText(_folder["config.json"], config.ToJsonString());
    }

    public string Path => _folder.Path;

    /// <summary>The same as a GGUF file.</summary>
    public async Task<string> ConvertAsync()
    {
        string file = _folder["converted.gguf"];
        await GgufConverter.ConvertAsync(Checkpoint.Open(Path), file, WeightType.AsStored);
        return file;
    }

    public void Dispose() => _folder.Dispose();

    private static bool IsTokenizerFile(string file) =>
        System.IO.Path.GetExtension(file) is ".json" or ".txt" or ".model" or ".jinja" && !s_weights.Contains(System.IO.Path.GetFileName(file)) && !file.EndsWith(".index.json", StringComparison.Ordinal);
}
