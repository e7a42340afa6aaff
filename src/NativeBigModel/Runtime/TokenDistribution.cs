using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>Tokens that may come next, and how likely each is; the probabilities add up to 1.</summary>
internal readonly record struct TokenDistribution(int[] Tokens, double[] Probabilities)
{
    /// <summary>The softmax of candidates' logits.</summary>
    public static TokenDistribution Of(ReadOnlySpan<LlamaTokenData> candidates)
    {
        double largest = double.NegativeInfinity, sum = 0;
        foreach (LlamaTokenData candidate in candidates) largest = Math.Max(largest, candidate.Logit);
        var tokens = new int[candidates.Length];
        var probabilities = new double[candidates.Length];
        for (int i = 0; i < candidates.Length; i++)
        {
            tokens[i] = candidates[i].Id;
            sum += probabilities[i] = Math.Exp(candidates[i].Logit - largest);
        }
        for (int i = 0; i < probabilities.Length; i++) probabilities[i] /= sum;
        return new(tokens, probabilities);
    }

    /// <summary>The probability of a token.</summary>
    public double this[int token] => Array.IndexOf(Tokens, token) is >= 0 and var at ? Probabilities[at] : 0;

    /// <summary>The token at a point of the cumulated probabilities, 0 to below 1.</summary>
    public int Pick(double at)
    {
        int last = -1;
        for (int i = 0; i < Tokens.Length; i++)
        {
            if (Probabilities[i] <= 0) continue;
            last = i;
            at -= Probabilities[i];
            if (at < 0) break;
        }
        // Rounding can leave a little after the last; not-a-number is no probability at all.
        return last >= 0 ? Tokens[last] : throw new EngineException("the model computed logits that are no numbers");
    }

    /// <summary>What is left of it where it exceeds another one, scaled to add up to 1.</summary>
    public TokenDistribution Beyond(TokenDistribution other)
    {
        var others = new Dictionary<int, double>(other.Tokens.Length);
        for (int i = 0; i < other.Tokens.Length; i++) others[other.Tokens[i]] = other.Probabilities[i];
        var left = new double[Tokens.Length];
        for (int i = 0; i < left.Length; i++) left[i] = Math.Max(0, Probabilities[i] - others.GetValueOrDefault(Tokens[i]));
        double sum = left.Sum();
        // Equal distributions reject nothing, but for rounding.
        return sum > 0 ? new(Tokens, [.. left.Select(value => value / sum)]) : this;
    }
}
