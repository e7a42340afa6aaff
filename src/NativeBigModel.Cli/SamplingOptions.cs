using System.CommandLine;

namespace NativeBigModel.Cli;

/// <summary>The options that say how tokens are chosen and when an answer ends.</summary>
internal sealed class SamplingOptions
{
    private static readonly GenerateOptions s_defaults = new();

    private readonly Option<int?> _maxNewTokens;
    private readonly Option<float> _temperature = new("--temperature") { Description = "0 always takes the likeliest token", HelpName = "T", DefaultValueFactory = _ => s_defaults.Temperature };
    private readonly Option<int> _topK = new("--top-k") { Description = "Keep the K likeliest tokens; 0 for all", HelpName = "K", DefaultValueFactory = _ => s_defaults.TopK };
    private readonly Option<float> _topP = new("--top-p") { Description = "Keep the likeliest tokens that together have probability P", HelpName = "P", DefaultValueFactory = _ => s_defaults.TopP };
    private readonly Option<float> _minP = new("--min-p") { Description = "Drop tokens less likely than this share of the likeliest", HelpName = "P", DefaultValueFactory = _ => s_defaults.MinP };
    private readonly Option<float> _repetition = new("--repetition-penalty") { Description = "Above 1 makes repeats less likely", HelpName = "R", DefaultValueFactory = _ => s_defaults.RepetitionPenalty };
    private readonly Option<uint?> _seed = new("--seed") { Description = "The same seed gives the same text", HelpName = "S" };
    private readonly Option<string[]> _stop = new("--stop") { Description = "A text that ends the answer; may be given more than once", HelpName = "TEXT" };
    private readonly Option<bool> _ignoreEos = new("--ignore-eos") { Description = "Go on past the model's end of text" };
    private readonly Option<string?> _grammar = new("--grammar") { Description = "A file with a GBNF grammar that the answer follows", HelpName = "FILE" };
    private readonly Option<int?> _keep = new("--keep-when-full") { Description = "Go on where the context is full: keep its first N tokens and drop the older half of the others", HelpName = "N" };

    /// <param name="maxNewTokens">Most tokens of an answer where the user names no number, as the help says it.</param>
    public SamplingOptions(string maxNewTokens) => _maxNewTokens = new("--max-new-tokens") { Description = $"Most tokens to generate; {maxNewTokens} unless given", HelpName = "N" };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_maxNewTokens, _temperature, _topK, _topP, _minP, _repetition, _seed, _stop, _ignoreEos, _grammar, _keep]) command.Add(option);
    }

    /// <param name="parsed">The command line.</param>
    /// <param name="maxNewTokens">Most tokens where the user names no number.</param>
    public GenerateOptions Read(ParseResult parsed, int maxNewTokens) => new()
    {
        MaxNewTokens = parsed.GetValue(_maxNewTokens) ?? maxNewTokens,
        Temperature = parsed.GetValue(_temperature),
        TopK = parsed.GetValue(_topK),
        TopP = parsed.GetValue(_topP),
        MinP = parsed.GetValue(_minP),
        RepetitionPenalty = parsed.GetValue(_repetition),
        Seed = parsed.GetValue(_seed),
        StopStrings = [.. parsed.GetValue(_stop) ?? []],
        IgnoreEndOfGeneration = parsed.GetValue(_ignoreEos),
        Grammar = parsed.GetValue(_grammar) is { } file ? File.ReadAllText(file) : null,
        KeepWhenFull = parsed.GetValue(_keep),
    };
}
