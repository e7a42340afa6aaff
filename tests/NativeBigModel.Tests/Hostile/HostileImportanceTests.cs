namespace NativeBigModel.Tests.Hostile;

/// <summary>Importance matrices: what they say, and what is refused of them.</summary>
public class HostileImportanceTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Both_formats_say_the_mean(bool gguf)
    {
        using var folder = new TempFolder();
        File.WriteAllBytes(folder["imatrix"], ImportanceFiles.Make(gguf));
        ImportanceMatrix matrix = ImportanceMatrix.Read(folder["imatrix"]);
        Assert.Equal<float>([1, 2, 3, 4], matrix.Find(new TensorSpec("blk.0.ffn_up.weight", [4, 9], TensorType.F32))!);
        // An expert that nothing passed counts as any other; a column that nothing passed counts next to nothing.
        Assert.Equal<float>([1, 2, 3, 1e-12f, 1, 1, 1, 1], matrix.Find(new TensorSpec("blk.1.ffn_down_exps.weight", [4, 9, 2], TensorType.F32))!);
        Assert.Null(matrix.Find(new TensorSpec("output.weight", [4, 9], TensorType.F32)));
        Assert.Throws<CheckpointException>(() => matrix.Find(new TensorSpec("blk.0.ffn_up.weight", [8, 9], TensorType.F32)));
    }

    [Theory]
    [InlineData(0, int.MaxValue, "entries")]
    [InlineData(4, -1, "length of the name")]
    [InlineData(4, 1 << 30, "length of the name")]
    [InlineData(31, 1 << 30, "values")]
    [InlineData(31, 0, "has no values")]
    [InlineData(35, unchecked((int)0x7fc00000), "importance is a finite number")]
    [InlineData(35, unchecked((int)0xbf800000), "importance is a finite number")]
    public void A_file_that_lies_is_refused(int at, int number, string part)
    {
        using var folder = new TempFolder();
        byte[] bytes = ImportanceFiles.Make(gguf: false);
        BitConverter.TryWriteBytes(bytes.AsSpan(at), number);
        File.WriteAllBytes(folder["imatrix"], bytes);
        CheckpointException error = Assert.Throws<CheckpointException>(() => ImportanceMatrix.Read(folder["imatrix"]));
        Refusal.Line(error.Message);
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }
}
