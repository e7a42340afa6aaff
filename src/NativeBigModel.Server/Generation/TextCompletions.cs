using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace NativeBigModel.Server;

/// <summary>/v1/completions: what goes on from a text.</summary>
internal sealed class TextCompletions(ServedModel served)
{
    private const int MaxLogProbs = 20;

    private readonly TokenNames _names = new(served.Model.Tokenizer);

    public async Task HandleAsync(HttpContext http)
    {
        TextRequest request = await JsonBody.ReadAsync(http, ApiJson.Default.TextRequest, served.Options.MaxBodyBytes).ConfigureAwait(false);
        string name = served.Name(request.Model);
        if (request.Echo is true) throw ApiException.BadValue("echo", "the prompt is not repeated here");
        if (!string.IsNullOrEmpty(request.Suffix)) throw ApiException.BadValue("suffix", "nothing is inserted before a text here");
        int each = Sampling.Choices(request, served.Options.MaxChoices);
        if (request.BestOf is { } best && best != each) throw ApiException.BadValue("best_of", "answers are not chosen among more than are asked for");
        if (request.Logprobs is < 0 or > MaxLogProbs) throw ApiException.BadValue("logprobs", $"{request.Logprobs}; it may be from 0 to {MaxLogProbs}");
        GenerateOptions options = Sampling.Read(request, served.Defaults, request.MaxTokens) with { LogProbs = request.Logprobs };
        JsonElement[] given = TextInputs.Split(request.Prompt, "prompt");
        int count = given.Length * each;
        if (count > served.Options.MaxChoices) throw ApiException.BadValue("prompt", $"{given.Length} prompts and {each} answers to each are {count} answers; there may be {served.Options.MaxChoices}");
        using Places.Ticket ticket = served.Places.Enter(count);
        int[][] prompts = [.. given.Select(Tokens)];
        served.Metrics.PromptTokens(prompts.Sum(static prompt => prompt.Length));
        Answer[] answers = [.. Enumerable.Range(0, count).Select(index => new Answer(index, new(served), request.Logprobs is null ? null : _names))];
        var document = new TextDocument($"cmpl-{Guid.NewGuid():N}", "text_completion", DateTimeOffset.UtcNow.ToUnixTimeSeconds(), name, [], null);
        UsageBody Usage() => AnswerMeter.Usage(prompts.Sum(static prompt => prompt.Length), [.. answers.Select(static answer => answer.Meter)]);
        IAsyncEnumerable<GenerationStep> Generate(int index, CancellationToken cancel) => served.Model.GenerateAsync(prompts[index / each], Sampling.ForChoice(options, index % each), cancel);
        if (request.Stream is not true)
        {
            await Choices.RunAsync(count, ticket, async (index, cancel) =>
            {
                await foreach (GenerationStep step in Generate(index, cancel).ConfigureAwait(false)) answers[index].Add(step);
            }, http.RequestAborted).ConfigureAwait(false);
            await JsonBody.WriteAsync(http.Response, document with { Choices = [.. answers.Select(static answer => answer.Rest())], Usage = Usage() }, ApiJson.Relaxed.TextDocument).ConfigureAwait(false);
            return;
        }
        await EventStream.RunAsync(http, async events =>
        {
            await Choices.RunAsync(count, ticket, async (index, cancel) =>
            {
                await foreach (GenerationStep step in Generate(index, cancel).ConfigureAwait(false))
                {
                    answers[index].Add(step);
                    if (step.Text.Length > 0 || step.Finish is not null) await events.SendAsync(document with { Choices = [answers[index].Rest()] }, ApiJson.Relaxed.TextDocument, cancel).ConfigureAwait(false);
                }
            }, http.RequestAborted).ConfigureAwait(false);
            if (request.StreamOptions?.IncludeUsage is true) await events.SendAsync(document with { Usage = Usage() }, ApiJson.Relaxed.TextDocument, http.RequestAborted).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    private int[] Tokens(JsonElement prompt)
    {
        int[] tokens = TextInputs.Tokens(prompt, "prompt", served.Model.Tokenizer);
        if (tokens.Length > served.Model.Plan.ContextLength && served.Defaults.KeepWhenFull is null) throw ApiException.TooLong(tokens.Length, served.Model.Plan.ContextLength, "prompt");
        return tokens;
    }

    /// <summary>One answer, while it is generated.</summary>
    private sealed class Answer(int index, AnswerMeter meter, TokenNames? names)
    {
        private readonly StringBuilder _text = new();
        private readonly List<GenerationStep> _steps = [];
        private int _offset;

        public AnswerMeter Meter => meter;

        public void Add(GenerationStep step)
        {
            meter.Add(step);
            _text.Append(step.Text);
            if (names is not null && step.Finish is not FinishReason.EndOfGeneration) _steps.Add(step);
        }

        /// <summary>What was not sent yet.</summary>
        public TextChoiceBody Rest()
        {
            TextChoiceBody rest = new(index, _text.ToString(), names is null ? null : LogProbs(names), meter.FinishReason);
            _text.Clear();
            _steps.Clear();
            return rest;
        }

        private TextLogProbsBody LogProbs(TokenNames all)
        {
            TokenBody[] tokens = [.. _steps.Select(all.Of)];
            List<int> offsets = [];
            foreach (TokenBody token in tokens)
            {
                offsets.Add(_offset);
                _offset += token.Token.Length;
            }
            return new([.. tokens.Select(static token => token.Token)], [.. tokens.Select(static token => token.Logprob)], [.. tokens.Select(Likeliest)], offsets);
        }

        // Several tokens may look the same; the likeliest of them counts.
        private static Dictionary<string, float> Likeliest(TokenBody token)
        {
            Dictionary<string, float> likeliest = [];
            foreach (TokenBody one in token.TopLogprobs!) likeliest.TryAdd(one.Token, one.Logprob);
            return likeliest;
        }
    }
}
