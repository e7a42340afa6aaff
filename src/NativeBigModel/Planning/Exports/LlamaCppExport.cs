using System.Collections.Immutable;

namespace NativeBigModel.Planning.Exports;

/// <summary>A plan as arguments of llama.cpp's own programs (v0.5.0).</summary>
/// <param name="Arguments">One option or value each.</param>
/// <param name="Notes">Where llama.cpp then does otherwise than the plan says, one sentence each.</param>
public sealed record LlamaCppExport(ImmutableArray<string> Arguments, ImmutableArray<string> Notes)
{
    /// <summary>Writes a plan down.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="modelPath">The GGUF file.</param>
    /// <exception cref="InvalidOptionException">The plan uses the GPUs in another order than theirs.</exception>
    public static LlamaCppExport Of(Plan plan, string modelPath)
    {
        ArgumentNullException.ThrowIfNull(plan);
        StockPlacement placement = StockPlacement.Of(plan);
        string kv = plan.KvType.ToString().ToLowerInvariant(), batch = $"{Math.Min(plan.BatchSize, plan.ContextLength)}";
        return new(
            [
                "-m", modelPath, "-fit", "off", "-ngl", $"{placement.GpuLayers}",
                .. placement.GpuLayers > 0 ? (string[])["-ts", string.Join(',', placement.LayersOfGpu)] : ["-dev", "none"],
                .. placement.HostTensors is { } tensors ? (string[])["-ot", $"{tensors}=CPU"] : [],
                "-c", $"{plan.ContextLength * (long)plan.Sessions}", .. plan.Sessions > 1 ? (string[])["-np", $"{plan.Sessions}", "--no-kv-unified"] : [],
                "-ctk", kv, "-ctv", kv, "-fa", plan.FlashAttention ? "auto" : "off", "-b", batch, "-ub", batch,
            ],
            placement.Notes);
    }

    /// <summary>The arguments on one line, quoted for a POSIX shell.</summary>
    public string ToCommandLine() => string.Join(' ', Arguments.Select(Quote));

    private static string Quote(string argument) => argument.Length > 0 && argument.All(c => char.IsAsciiLetterOrDigit(c) || "-_./,:=+".Contains(c, StringComparison.Ordinal))
        ? argument
        : $"'{argument.Replace("'", @"'\''", StringComparison.Ordinal)}'";
}
