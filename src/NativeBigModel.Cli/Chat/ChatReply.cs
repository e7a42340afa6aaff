using Microsoft.Extensions.AI;

namespace NativeBigModel.Cli.Chat;

/// <summary>An answer, whole or stopped.</summary>
/// <param name="Text">What was said.</param>
/// <param name="Reasoning">What was thought before; empty where nothing was.</param>
/// <param name="First">The first step.</param>
/// <param name="Last">The last step that came.</param>
/// <param name="Usage">Tokens of the prompt and the answer; null where it was stopped.</param>
internal sealed record ChatReply(string Text, string Reasoning, GenerationStep? First, GenerationStep? Last, UsageDetails? Usage)
{
    /// <summary>Tokens of the answer; 0 where it was stopped.</summary>
    public int Tokens => (int)(Usage?.OutputTokenCount ?? 0);

    /// <summary>Tokens of the conversation with the answer; 0 where it was stopped.</summary>
    public int Total => (int)(Usage?.TotalTokenCount ?? 0);

    /// <summary>Tokens a second behind the first one; null where there are too few to tell.</summary>
    public double? Speed => Tokens > 1 && Last!.Elapsed > TimeSpan.Zero ? (Tokens - 1) / Last.Elapsed.TotalSeconds : null;

    /// <summary>What was streamed behind the prompt; null where nothing is streamed, or the answer was stopped.</summary>
    public StreamingStats? Streamed => First?.Streaming is { } first ? Last!.Streaming?.Since(first) : null;
}
