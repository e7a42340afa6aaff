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

    /// <summary>The draft model, if one is asked for, and a plan for it: whole, within the limits of the model that it guesses for.</summary>
    public (Checkpoint Checkpoint, Plan Plan)? Plan(ParseResult parsed, Machine machine, PlanOptions options)
    {
        if (parsed.GetValue(_draft) is not { } path) return null;
        if (parsed.GetValue(_lookup)) throw new InvalidOptionException("give either --draft or --lookup");
        Checkpoint checkpoint = Checkpoint.Open(path);
        ModelShape shape = checkpoint.Describe(WeightType.AsStored);
        return (checkpoint, checkpoint.Plan(machine, new PlanOptions
        {
            MaxMemory = options.MaxMemory, Sessions = options.Sessions, Threads = options.Threads, ContextLength = options.ContextLength <= shape.ContextLength ? options.ContextLength : null,
        }));
    }

    public SpeculationOptions? Read(ParseResult parsed, BigModel? draft) =>
        draft is not null || parsed.GetValue(_lookup) ? new() { Draft = draft, MaxTokens = parsed.GetValue(_tokens) } : null;
}
