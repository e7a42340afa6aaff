using System.Text.RegularExpressions;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tests.Conversion;

/// <summary>What a conversion may be asked for beside a type.</summary>
[Collection(EngineGroup.Name)]
public class ConversionOptionsTests
{
    [Theory]
    [InlineData(WeightType.AsStored, null)]
    [InlineData(WeightType.Q4_K_M, null)]
    [InlineData(WeightType.Q8_0, 1_000_000L)]
    [InlineData(WeightType.F32, 700_000L)]
    public async Task What_a_preview_says_is_written_to_the_byte(WeightType type, long? most)
    {
        using var folder = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        var options = new ConversionOptions { Type = type, MaxFileBytes = most };
        ConversionResult preview = GgufConverter.Preview(checkpoint, folder["out.gguf"], options);
        Assert.Empty(folder.Files);
        ConversionResult written = await GgufConverter.ConvertAsync(checkpoint, folder["out.gguf"], options);
        Assert.Equal(preview.Files, written.Files);
        Assert.Equal(written.Files, [.. folder.Files.Select(name => (folder[name], new FileInfo(folder[name]).Length))]);
        Assert.Equal(preview.Tensors, written.Tensors);
        if (most is null) return;
        Assert.True(written.Files.Count > 2);
        long largest = checkpoint.Describe(type).Tensors.Max(tensor => tensor.Bytes);
        Assert.All(written.Files, file => Assert.InRange(file.Bytes, 1, Math.Max(most.Value, largest + 200_000)));
        Assert.EndsWith($"out-00001-of-{written.Files.Count:d5}.gguf", written.Path, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_split_model_is_the_same_model_here_and_in_llama_cpp()
    {
        using var folder = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        ConversionResult split = await GgufConverter.ConvertAsync(checkpoint, folder["split.gguf"], new ConversionOptions { Type = WeightType.Q8_0, MaxFileBytes = 1_000_000 });
        await GgufConverter.ConvertAsync(checkpoint, folder["whole.gguf"], WeightType.Q8_0);
        int[] ids = [5, 9, 40, 77, 3];
        Assert.Equal(StockLlama.Compute(folder["whole.gguf"], ids), StockLlama.Compute(split.Path, ids));
        Assert.Equal(Checkpoint.Open(folder["whole.gguf"]).Describe().Tensors.AsEnumerable(), Checkpoint.Open(split.Path).Describe().Tensors.AsEnumerable());
    }

    [Fact]
    public async Task The_first_pattern_that_matches_decides_a_weights_type()
    {
        using var folder = new TempFolder();
        var options = new ConversionOptions
        {
            Type = WeightType.Q4_K_M,
            TypeOverrides = [TypeOverride.Parse("^blk\\.0\\.ffn_down=q8_0"), TypeOverride.Parse("ffn_down=Q6_K"), TypeOverride.Parse("attn_v=bf16"), TypeOverride.Parse("token_embd=F16")],
        };
        await GgufConverter.ConvertAsync(Checkpoint.Open(TestFolders.Capitals), folder["out.gguf"], options);
        Dictionary<string, TensorType> plain = Checkpoint.Open(TestFolders.Capitals).Describe(WeightType.Q4_K_M).Tensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Type);
        foreach ((TensorSpec tensor, _) in GgufReader.Read(folder["out.gguf"]).Tensors)
        {
            TensorType expected = tensor.Name switch
            {
                "blk.0.ffn_down.weight" => TensorType.Q8_0,
                "token_embd.weight" => TensorType.F16,
                _ when tensor.Name.EndsWith("ffn_down.weight", StringComparison.Ordinal) => TensorType.Q6_K,
                _ when tensor.Name.EndsWith("attn_v.weight", StringComparison.Ordinal) => TensorType.BF16,
                _ => plain[tensor.Name],
            };
            Assert.Equal((tensor.Name, expected), (tensor.Name, tensor.Type));
        }
        Assert.NotEmpty(StockLlama.Compute(folder["out.gguf"], [1, 2, 3]));
    }

    [Theory]
    [InlineData("ffn_dwn=q8_0", "matches the name of no weight")]
    [InlineData("[=q8_0", "not a regular expression")]
    [InlineData("ffn_down=q9", "not a tensor type")]
    [InlineData("ffn_down=q8_k", "not a tensor type")]
    [InlineData("ffn_down", "not PATTERN=TYPE")]
    [InlineData("ffn_down=iq2_xs", "importance matrix")]
    public void An_override_that_cannot_be_is_refused(string text, string part)
    {
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        var error = Assert.Throws<InvalidOptionException>(() => GgufConverter.Preview(checkpoint, "x.gguf", new ConversionOptions { TypeOverrides = [TypeOverride.Parse(text)] }));
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Keys_are_set_in_the_type_that_they_have()
    {
        using var folder = new TempFolder();
        var options = new ConversionOptions { Metadata = ["general.name=A=B", "llama.rope.freq_base=20000", "tokenizer.ggml.add_bos_token=false", "general.license=MIT", "mine.count=7", "mine.share=0.5", "mine.text=str:7", "mine.on=true", "mine.below=int:-3"] };
        await GgufConverter.ConvertAsync(Checkpoint.Open(TestFolders.Capitals), folder["out.gguf"], options);
        GgufMetadata metadata = GgufReader.Read(folder["out.gguf"]).Metadata;
        foreach ((string key, object value) in ((string, object)[])
            [("general.name", "A=B"), ("llama.rope.freq_base", 20000f), ("tokenizer.ggml.add_bos_token", false), ("general.license", "MIT"), ("mine.count", 7u), ("mine.share", 0.5f), ("mine.text", "7"), ("mine.on", true), ("mine.below", -3)])
            Assert.Equal((key, value), (key, metadata.Find(key)));
    }

    [Theory]
    [InlineData("general.architecture=qwen2", "cannot be set")]
    [InlineData("split.count=2", "cannot be set")]
    [InlineData("llama.block_count=many", "of the key's type")]
    [InlineData("llama.block_count=3", "blk.")]
    [InlineData("llama.rope.freq_base=0", "must be above 0")]
    [InlineData("tokenizer.ggml.tokens=a", "of the key's type")]
    [InlineData("=x", "not KEY=VALUE")]
    public void A_key_that_cannot_be_is_refused(string text, string part)
    {
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        BigModelException error = Assert.ThrowsAny<BigModelException>(() => GgufConverter.Preview(checkpoint, "x.gguf", new ConversionOptions { Metadata = [text] }));
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_16_bit_float_of_a_checkpoint_is_the_one_that_it_is_stored_in()
    {
        Assert.Equal(WeightType.BF16, WeightTypes.HalfOf(Checkpoint.Open(TestFolders.Capitals)));
        if (TestFolders.Golden is not null) Assert.Equal(WeightType.F16, WeightTypes.HalfOf(Checkpoint.Open(Path.Combine(TestFolders.Golden, "llama_fp16"))));
    }

    [Fact]
    public async Task The_command_says_what_it_would_write()
    {
        using var folder = new TempFolder();
        Tool.Result result = await Tool.Run("convert", TestFolders.Capitals, folder["out.gguf"], "--type", "auto", "--tensor-type", "ffn_up=q8_0", "--split-max-size", "2MB", "--dry-run");
        Assert.Equal((0, ""), (result.ExitCode, string.Concat(result.ErrorLines)));
        Assert.Matches(new Regex("out-00002-of-0000[0-9]\\.gguf: [0-9]+ bytes"), result.Output);
        Assert.Contains("6 Q8_0", result.Output, StringComparison.Ordinal);
        Assert.Empty(folder.Files);
    }
}
