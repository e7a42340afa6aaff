
namespace NativeBigModel.Tests.Hostile;

/// <summary>
/// Files that open, given to the engine in a process of its own, because what llama.cpp asserts ends it: the exit code is one of the documented ones.
/// </summary>
public class NativeLoadTests
{
    public static TheoryData<string> Rows() => [.. NativeCases.All.Keys];

    [Fact]
    public async Task The_unspoilt_files_run()
    {
        using var folder = new HostileFolder(TinyCheckpoint.Files());
        await File.WriteAllBytesAsync(folder.In("model.gguf"), TinyCheckpoint.SentencePieceGguf);
        Assert.Equal(0, await Run("run", folder.Path, "--prompt-ids", "1,2", "--max-new-tokens", "2", "--temperature", "0", "--json"));
        Assert.Equal(0, await Run("run", folder.In("model.gguf"), "--prompt-ids", "1,2", "--max-new-tokens", "2", "--temperature", "0", "--json"));
        Assert.Equal(0, await Run("tokenize", folder.In("model.gguf"), "--text", "Hello world"));
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public async Task A_file_that_the_engine_may_not_survive_ends_in_a_documented_exit_code(string row)
    {
        RawGguf gguf = RawGguf.Parse(row.StartsWith("SentencePiece", StringComparison.Ordinal) ? TinyCheckpoint.SentencePieceGguf : TinyCheckpoint.Gguf);
        NativeCases.All[row](gguf);
        using var folder = new HostileFolder(new Dictionary<string, byte[]> { ["model.gguf"] = gguf.ToBytes() });
        // With a text the same process encodes, loads, computes and decodes.
        Assert.Contains(await Run("run", folder.In("model.gguf"), "--prompt", "Hello world", "--max-new-tokens", "2", "--temperature", "0", "--json"), (int[])[0, 3, 4, 5]);
    }

    private static async Task<int> Run(params string[] arguments)
    {
        Tool.Result result = await Tool.Run(arguments);
        if (result.ExitCode is not (0 or 3 or 4 or 5)) Assert.Fail($"exit {result.ExitCode}: {result.Errors}");
        if (result.ExitCode != 0) Assert.Single(result.ErrorLines);
        return result.ExitCode;
    }
}
