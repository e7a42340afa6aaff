using System.Diagnostics;

namespace NativeBigModel.Runtime;

/// <summary>One generation: the prompt, then a token at a time. Runs on the thread that owns the context.</summary>
internal sealed class Generation(EngineContext context, Tokenizer tokenizer, GenerateOptions options)
{
    /// <summary>Generates until a reason to finish, handing each step to <paramref name="emit"/>.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; no step follows.</exception>
    public void Run(int[] prompt, Action<GenerationStep> emit, CancellationToken cancel)
    {
        context.Clear();
        long started = Stopwatch.GetTimestamp();
        context.Append(prompt, cancel);
        context.Wait();
        TimeSpan prefill = Stopwatch.GetElapsedTime(started);
        long decoding = Stopwatch.GetTimestamp();
        using var sampler = new TokenSampler(options, tokenizer.TokenCount, context.Length);
        sampler.Accept(prompt);
        var text = new TextAssembler(options.StopStrings);
        for (int count = 1; count <= options.MaxNewTokens; count++)
        {
            cancel.ThrowIfCancellationRequested();
            int token = sampler.Next(context);
            bool ends = tokenizer.IsEndOfGeneration(token) && !options.IgnoreEndOfGeneration;
            string certain = ends || !tokenizer.HasText ? "" : text.Add(tokenizer.Piece(token));
            FinishReason? finish = ends ? FinishReason.EndOfGeneration
                : text.Stopped ? FinishReason.StopString
                : count == options.MaxNewTokens ? FinishReason.MaxNewTokens
                : context.Used == context.Length ? FinishReason.ContextFull
                : null;
            if (finish is not null) certain += text.Finish();
            emit(new GenerationStep(token, certain, finish, prefill, Stopwatch.GetElapsedTime(decoding)));
            if (finish is not null) return;
            context.Append([token], cancel);
        }
    }
}
