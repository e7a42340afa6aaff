using System.Text.Json;
using NativeBigModel.Bench.Results;

namespace NativeBigModel.Bench.Contests;

/// <summary>Runs contenders in turn, round after round, so that what else the machine does meets all of them.</summary>
/// <param name="run">Runs one contender on one case.</param>
/// <param name="add">Told of each row as it is there.</param>
internal sealed class ContestRunner(Func<Contender, Case, CancellationToken, Task<ChildResult>> run, Action<Measurement> add)
{
    /// <summary>A B A B: every round passes through all cases and all contenders. One that failed in a case is not tried in it again.</summary>
    public async Task RunAsync(IReadOnlyList<Case> cases, IReadOnlyList<Contender> contenders, int rounds, CancellationToken cancel)
    {
        HashSet<(Case, Contender)> failed = [];
        for (int round = 1; round <= rounds; round++)
        {
            foreach (Case one in cases)
            {
                foreach (Contender contender in contenders)
                {
                    if (!contender.Takes(one) || (contender.KnowsNoBudget(one) && one != cases[0]) || failed.Contains((one, contender))) continue;
                    foreach (Measurement row in Rows(one, contender, round, await run(contender, one, cancel)))
                    {
                        if (row.Failure.Length > 0) failed.Add((one, contender));
                        add(row);
                    }
                }
            }
        }
    }

    private static IEnumerable<Measurement> Rows(Case one, Contender contender, int round, ChildResult child)
    {
        Measurement bare = new()
        {
            Model = one.Model.Name, Type = one.Model.Type.ToString(), WeightBytes = one.Model.WeightBytes, BudgetBytes = contender.KnowsNoBudget(one) ? 0 : one.BudgetBytes, Contender = contender.Name, Round = round,
            GpuPeakBytes = child.GpuPeakBytes, HostPeakBytes = child.HostPeakBytes,
        };
        if (child.Result is not { } result) return [bare with { Failure = child.Failure }];
        if (!result.TryGetProperty("load_s", out JsonElement load) || !result.TryGetProperty("rounds", out JsonElement measured) || measured.GetArrayLength() == 0)
            return [bare with { Failure = "the result has no load_s and rounds" }];
        JsonElement? predicted = result.TryGetProperty("plan", out JsonElement plan) && plan.TryGetProperty("predicted", out JsonElement speeds) && speeds.ValueKind == JsonValueKind.Object ? speeds : null;
        return measured.EnumerateArray().GroupBy(each => each.GetProperty("prompt").GetInt32()).Select(group => bare with
        {
            LoadSeconds = load.GetDouble(),
            PromptTokens = group.Key,
            PromptSeconds = Repeated.Of(group.Select(each => (double?)each.GetProperty("prefill_s").GetDouble()))!.Median,
            PredictedTokenSeconds = predicted?.GetProperty("decode_seconds").GetDouble(),
            PredictedPromptSeconds = predicted?.GetProperty("prompt_tokens").GetInt32() == group.Key ? predicted?.GetProperty("prefill_seconds").GetDouble() : null,
            TokenSeconds = Repeated.Of(group.Select(each => (double?)each.GetProperty("decode_s_per_token").GetDouble()))!.Median,
        });
    }
}
