using NativeBigModel.Checkpoints;
using NativeBigModel.Tests.Golden;

namespace NativeBigModel.Tests.Conversion;

/// <summary>A folder made of a GGUF file that was made of a folder is that folder: weights bit by bit, the same configuration, the same tokens.</summary>
[Collection(EngineGroup.Name)]
public class RoundTripTests
{
    public static TheoryData<string> Cases => TestFolders.Golden is null ? [TestFolders.NoFolders]
        : ["llama2", "llama3", "llama_bf16", "llama_fp16", "llama_linear", "llama_yarn", "llama_tied", "llama_q256", "mistral", "qwen2", "qwen3"];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_golden_folder_comes_back(string name)
    {
        if (name == TestFolders.NoFolders) return;
        using TempFolder source = TestFolders.Copy(name), output = new();
        await RequireSame(source.Path, output);
        using System.Text.Json.JsonDocument reference = System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(output["folder"], Capitals.Exact());
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-9);
        GoldenModelTests.RequireTokens(model.Tokenizer, reference.RootElement, fromFile: false);
    }

    [Fact]
    public async Task The_bundled_model_comes_back_through_the_command()
    {
        using var output = new TempFolder();
        await RequireSame(TestFolders.Capitals, output);
        foreach (Capitals.Reference reference in Capitals.References.Where(reference => reference.Prompt is not null).Take(2))
        {
            Tool.Result result = await Tool.Run("run", output["folder"], "--prompt", reference.Prompt!, "--temperature", "0", "--max-new-tokens", "40", "--json");
            Assert.Contains(reference.Text.Replace("<|end|>", "", StringComparison.Ordinal).Trim(), System.Text.Json.Nodes.JsonNode.Parse(result.Output)!["text"]!.GetValue<string>(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task What_a_folder_cannot_say_is_refused()
    {
        using var output = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        await GgufConverter.ConvertAsync(checkpoint, output["q8.gguf"], WeightType.Q8_0);
        await Assert.ThrowsAsync<UnsupportedModelException>(() => FolderConverter.ConvertAsync(Checkpoint.Open(output["q8.gguf"]), output["folder"]));
        await Assert.ThrowsAsync<InvalidOptionException>(() => FolderConverter.ConvertAsync(checkpoint, output["folder"]));
        await GgufConverter.ConvertAsync(checkpoint, output["f32.gguf"], WeightType.F32);
        await Assert.ThrowsAsync<InvalidOptionException>(() => FolderConverter.ConvertAsync(Checkpoint.Open(output["f32.gguf"]), output["folder"], WeightType.Q4_K_M));
        await Assert.ThrowsAsync<InvalidOptionException>(() => FolderConverter.ConvertAsync(Checkpoint.Open(output["f32.gguf"]), output.Path));
        Assert.False(Directory.Exists(output["folder"]));
        if (TestFolders.Golden is null) return;
        await GgufConverter.ConvertAsync(Checkpoint.Open(Path.Combine(TestFolders.Golden, "gemma")), output["gemma.gguf"], WeightType.F32);
        await Assert.ThrowsAsync<UnsupportedModelException>(() => FolderConverter.ConvertAsync(Checkpoint.Open(output["gemma.gguf"]), output["folder"]));
    }

    private static async Task RequireSame(string source, TempFolder output)
    {
        await GgufConverter.ConvertAsync(Checkpoint.Open(source), output["file.gguf"], WeightType.AsStored);
        Tool.Result result = await Tool.Run("convert", output["file.gguf"], output["folder"]);
        Assert.Equal((0, ""), (result.ExitCode, string.Concat(result.ErrorLines)));
        Assert.Equal(Weights(Checkpoint.Open(source)), Weights(Checkpoint.Open(output["folder"])));
    }

    private static IEnumerable<string> Weights(Checkpoint checkpoint)
    {
        using var files = new CheckpointFiles();
        return [.. checkpoint.StoredTensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal).Select(tensor =>
        {
            byte[] data = new byte[tensor.Bytes];
            files.Read(tensor.File, tensor.Offset, data);
            return $"{tensor.Name} {tensor.DataType} [{string.Join(", ", tensor.Shape)}] {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(data))}";
        })];
    }
}
