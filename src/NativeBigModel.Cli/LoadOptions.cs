using System.CommandLine;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli;

/// <summary>The options that say what to load and where to put it: a plan to make or one from a file, adapters, and a model that guesses ahead.</summary>
internal sealed class LoadOptions
{
    private readonly Argument<string> _path = CommonOptions.Path();
    private readonly PlacementOptions _placement = new();
    private readonly DraftOptions _drafts = new();
    private readonly Option<string?> _plan = new("--plan") { Description = "Carry out a plan that nbm plan --out wrote, in place of making one", HelpName = "FILE" };
    private readonly Option<string[]> _lora = CommonOptions.Lora();

    /// <summary>Adds the path to a command.</summary>
    public void AddPathTo(Command command) => command.Add(_path);

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        _drafts.AddTo(command);
        _placement.AddTo(command);
        command.Add(_plan);
        command.Add(_lora);
    }

    /// <summary>Loads what is asked for.</summary>
    /// <exception cref="InvalidOptionException">Options contradict each other.</exception>
    public async Task<LoadedModels> LoadAsync(ParseResult parsed, IProgress<LoadProgress> progress, CancellationToken cancel)
    {
        if (parsed.GetValue(_plan) is not null && _placement.FirstGiven(parsed) is { } given) throw new InvalidOptionException($"{given}: the file of --plan says that already");
        PlanOptions options = _placement.Read(parsed);
        Task<Machine> probing = Task.Run(Machine.Probe, CancellationToken.None); // the engine's libraries are loaded beside
        Checkpoint checkpoint;
        try { checkpoint = Checkpoint.Open(parsed.GetRequiredValue(_path), parsed.GetValue(_lora) ?? []); }
        finally { await Task.WhenAny(probing).ConfigureAwait(false); } // a process that ends while they are loaded may crash
        Machine machine = await probing.ConfigureAwait(false);
        Plan? kept = parsed.GetValue(_plan) is { } file ? ReadPlan(file, checkpoint) : null;
        // Both are planned before either takes memory: one has what the other leaves.
        (Checkpoint Checkpoint, Plan Plan)? guessing = _drafts.Plan(parsed, kept is null ? machine : machine.Beside(kept), options);
        if (guessing is { } other) (machine, options) = (machine.Beside(other.Plan), options with { MaxMemory = options.MaxMemory?.Beside(other.Plan) });
        Plan plan = kept ?? checkpoint.Plan(machine, options);
        BigModel? draft = guessing is { } small ? await BigModel.LoadAsync(small.Checkpoint, small.Plan, null, cancel).ConfigureAwait(false) : null;
        try { return new(await BigModel.LoadAsync(checkpoint, plan, progress, cancel).ConfigureAwait(false), draft, _drafts.Read(parsed, draft)); }
        catch
        {
            if (draft is not null) await draft.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static Plan ReadPlan(string file, Checkpoint checkpoint)
    {
        Plan plan = Plan.FromJson(File.ReadAllText(file));
        plan.Verify(checkpoint.Describe(plan.WeightType));
        return plan;
    }
}

/// <summary>A loaded model, and what guesses ahead for it.</summary>
internal sealed class LoadedModels(BigModel model, BigModel? draft, SpeculationOptions? speculation) : IAsyncDisposable
{
    public BigModel Model => model;

    public SpeculationOptions? Speculation => speculation;

    public async ValueTask DisposeAsync()
    {
        await model.DisposeAsync().ConfigureAwait(false);
        if (draft is not null) await draft.DisposeAsync().ConfigureAwait(false);
    }
}
