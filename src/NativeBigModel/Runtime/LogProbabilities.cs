using System.Numerics.Tensors;

namespace NativeBigModel.Runtime;

/// <summary>Logarithms of probabilities, as the model gives them.</summary>
internal static class LogProbabilities
{
    /// <summary>The step with its token's log-probability, and those of the likeliest tokens.</summary>
    public static GenerationStep Report(GenerationStep step, ReadOnlySpan<float> logits, int top)
    {
        float largest = TensorPrimitives.Max(logits);
        double sum = 0;
        foreach (float logit in logits) sum += Math.Exp(logit - largest);
        double total = largest + Math.Log(sum);
        var likeliest = new PriorityQueue<int, float>(top + 1);
        for (int i = 0; i < logits.Length && top > 0; i++)
        {
            if (likeliest.Count == top && likeliest.TryPeek(out _, out float least) && logits[i] <= least) continue;
            likeliest.Enqueue(i, logits[i]);
            if (likeliest.Count > top) likeliest.Dequeue();
        }
        var reported = new TokenLogProb[likeliest.Count];
        for (int i = reported.Length - 1; i >= 0; i--)
        {
            int token = likeliest.Dequeue();
            reported[i] = new(token, (float)(logits[token] - total));
        }
        return step with { LogProb = (float)(logits[step.Token] - total), TopLogProbs = [.. reported] };
    }
}
