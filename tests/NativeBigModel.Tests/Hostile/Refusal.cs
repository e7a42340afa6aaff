namespace NativeBigModel.Tests.Hostile;

/// <summary>What every refusal of a checkpoint must be: one of two errors, one printable line, with the file, the field and the numbers.</summary>
internal static class Refusal
{
    /// <summary>Opens and describes the checkpoint, which must fail with a message that holds all <paramref name="parts"/>.</summary>
    public static void Of(string path, params IEnumerable<string> parts)
    {
        Exception? error = Open(path);
        Assert.True(error is CheckpointException or UnsupportedModelException, $"{error?.ToString() ?? "accepted"}");
        Line(error!.Message);
        foreach (string part in parts) Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    /// <summary>Opens and describes the checkpoint; it may work, and may not fail with anything but one of the library's errors.</summary>
    public static void OrSuccess(string path, string what)
    {
        Exception? error = Open(path);
        Assert.True(error is null or CheckpointException or UnsupportedModelException, $"{what}: {error}");
        if (error is not null) Line(error.Message);
    }

    public static void Line(string message)
    {
        Assert.InRange(message.Length, 1, 1010);
        Assert.DoesNotContain(message, c => char.IsControl(c) || c is '\u2028' or '\u2029' or '\u202e');
    }

    private static Exception? Open(string path) => Record.Exception(() =>
    {
        Checkpoint checkpoint = Checkpoint.Open(path);
        checkpoint.Describe();
        checkpoint.Text.Preparation?.Split("a <s> b[MASK]12</s>").ToList();
    });
}
