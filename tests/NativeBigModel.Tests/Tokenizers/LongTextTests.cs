namespace NativeBigModel.Tests.Tokenizers;

public class LongTextTests
{
    [Theory]
    [InlineData("gpt_oss")]
    [InlineData("deepseek_v3")]
    [InlineData("bloom")]
    [InlineData("seed_oss")]
    [InlineData("falcon")]
    public void Crash(string name)
    {
        using TokenizerCheckpoint folder = new(Path.Combine(TestFolders.Golden!, name));
        using Tokenizer tokenizer = Tokenizer.Open(Checkpoint.Open(folder.Path));
        foreach (string unit in (string[])["a", " ", "\n", "é", "!", "1"])
            Console.Error.WriteLine($"{name} {unit} {tokenizer.Encode(string.Concat(Enumerable.Repeat(unit, 300_000))).Length}");
    }
}
