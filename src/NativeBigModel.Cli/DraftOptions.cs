using System.Collections.Immutable;
using System.CommandLine;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli;

/// <summary>The options that say how tokens are guessed ahead.</summary>
internal sealed class DraftOptions
{
    private readonly Option<string?> _draft = new("--draft") { Description = "A small model with the same vocabulary that guesses tokens ahead", HelpName = "PATH" };
    private readonly Option<bool> _lookup = new("--lookup") { Description = "Guess what followed the same words before, in the prompt or the answer" };
    private readonly Option<int> _tokens = new("--draft-tokens") { Description = "Most tokens to guess ahead", HelpName = "N", DefaultValueFactory = _ => new SpeculationOptions().MaxTokens };

    public void AddTo(Command command)
    {
        command.Add(_draft);
        command.Add(_tokens);
        command.Add(_lookup);
    }

    /// <summary>Loads the draft model, if one is asked for: whole, within the limits of the model that it guesses for.</summary>
    public async Task<BigModel?> LoadAsync(ParseResult parsed, PlanOptions options, CancellationToken cancel)
    {
        if (parsed.GetValue(_draft) is not { } path) return null;
        if (parsed.GetValue(_lookup)) throw new InvalidOptionException("give either --draft or --lookup");
        Checkpoint checkpoint = Checkpoint.Open(path);
        ModelShape shape = checkpoint.Describe(WeightType.AsStored);
        var draft = new PlanOptions
        {
            MaxMemory = options.MaxMemory, Sessions = options.Sessions, Threads = options.Threads,
            ContextLength = options.ContextLength <= shape.ContextLength ? options.ContextLength : null,
        };
        return await BigModel.LoadAsync(checkpoint, Planner.Plan(shape, Machine.Probe(), draft), null, cancel).ConfigureAwait(false);
    }

    /// <summary>What is left of the limits beside a draft model; limits that were not given are what is free then.</summary>
    public static PlanOptions Beside(PlanOptions options, BigModel? draft)
    {
        if (draft is null || options.MaxMemory is not { } limits) return options;
        long Left(string device, long limit) => Math.Max(0, limit - draft.Plan.Devices.Where(one => one.Name == device).Sum(one => one.TotalBytes));
        return options with
        {
            MaxMemory = limits with
            {
                Gpus = limits.Gpus.ToImmutableSortedDictionary(gpu => gpu.Key, gpu => Left(DeviceName.Gpu(gpu.Key), gpu.Value)),
                Host = limits.Host is { } host ? Left(DeviceName.Host, host) : null,
            },
        };
    }

    public SpeculationOptions? Read(ParseResult parsed, BigModel? draft) =>
        draft is not null || parsed.GetValue(_lookup) ? new() { Draft = draft, MaxTokens = parsed.GetValue(_tokens) } : null;
}
