using System.Text;
using Microsoft.AspNetCore.Http;
using NativeBigModel.Chat;

namespace NativeBigModel.Server;

/// <summary>/v1/chat/completions.</summary>
internal sealed class ChatCompletions(ServedModel served)
{
    private const int MaxTopLogProbs = 20;

    private readonly TokenNames _names = new(served.Model.Tokenizer);

    public async Task HandleAsync(HttpContext http)
    {
        ChatRequestBody request = await JsonBody.ReadAsync(http, ApiJson.Default.ChatRequestBody, served.Options.MaxBodyBytes).ConfigureAwait(false);
        string name = served.Name(request.Model);
        ChatTemplate template = served.Template ?? throw new ApiException(StatusCodes.Status400BadRequest, "the model has no chat template; /v1/completions goes on from a text", "messages", "unsupported");
        int count = Sampling.Choices(request, served.Options.MaxChoices);
        IReadOnlyList<ChatMessage> messages = ConversationReader.Messages(request);
        ChatRenderOptions render = ConversationReader.Render(request);
        GenerateOptions options = Sampling.Read(request, served.Defaults, request.MaxCompletionTokens ?? request.MaxTokens) with
        {
            Grammar = ConversationReader.Grammar(request.ResponseFormat) ?? served.Defaults.Grammar,
            LogProbs = LogProbs(request),
        };
        using Places.Ticket ticket = served.Places.Enter(count);
        var turn = new ChatTurn(served.Model, template, messages, render);
        if (turn.Prompt.Count > served.Model.Plan.ContextLength && options.KeepWhenFull is null) throw ApiException.TooLong(turn.Prompt.Count, served.Model.Plan.ContextLength);
        served.Metrics.PromptTokens(turn.Prompt.Count);
        Answer[] answers = [.. Enumerable.Range(0, count).Select(index => new Answer(index, new(served), request.Logprobs is true ? _names : null, request.ParallelToolCalls is false ? 1 : int.MaxValue))];
        var document = new ChatDocument($"chatcmpl-{Guid.NewGuid():N}", "chat.completion", DateTimeOffset.UtcNow.ToUnixTimeSeconds(), name, [], null);
        UsageBody Usage() => AnswerMeter.Usage(turn.Prompt.Count, [.. answers.Select(answer => answer.Meter)]);
        if (request.Stream is not true)
        {
            await Choices.RunAsync(count, ticket, async (index, cancel) =>
            {
                await foreach (ChatStep step in turn.GenerateAsync(Sampling.ForChoice(options, index), cancel).ConfigureAwait(false)) answers[index].Add(step);
            }, http.RequestAborted).ConfigureAwait(false);
            await JsonBody.WriteAsync(http.Response, document with { Choices = [.. answers.Select(answer => answer.Whole())], Usage = Usage() }, ApiJson.Relaxed.ChatDocument).ConfigureAwait(false);
            return;
        }
        document = document with { Object = "chat.completion.chunk" };
        await EventStream.RunAsync(http, async events =>
        {
            await Choices.RunAsync(count, ticket, async (index, cancel) =>
            {
                await foreach (ChatStep step in turn.GenerateAsync(Sampling.ForChoice(options, index), cancel).ConfigureAwait(false))
                {
                    answers[index].Add(step);
                    foreach (ChatChoiceBody part in answers[index].Parts(step)) await events.SendAsync(document with { Choices = [part] }, ApiJson.Relaxed.ChatDocument, cancel).ConfigureAwait(false);
                }
            }, http.RequestAborted).ConfigureAwait(false);
            if (request.StreamOptions?.IncludeUsage is true) await events.SendAsync(document with { Usage = Usage() }, ApiJson.Relaxed.ChatDocument, http.RequestAborted).ConfigureAwait(false);
        }).ConfigureAwait(false);
    }

    private static int? LogProbs(ChatRequestBody request)
    {
        if (request.Logprobs is not true) return request.TopLogprobs is null ? null : throw ApiException.BadValue("top_logprobs", "it needs 'logprobs': true");
        return request.TopLogprobs switch
        {
            null => 0,
            >= 0 and <= MaxTopLogProbs => request.TopLogprobs,
            { } top => throw ApiException.BadValue("top_logprobs", $"{top}; it may be from 0 to {MaxTopLogProbs}"),
        };
    }

    /// <summary>One answer, while it is generated.</summary>
    private sealed class Answer(int index, AnswerMeter meter, TokenNames? names, int mostCalls)
    {
        private readonly StringBuilder _content = new();
        private readonly StringBuilder _reasoning = new();
        private readonly List<TokenBody> _tokens = [];
        private ToolCallBody[] _calls = [];
        private int _shownTokens;

        public AnswerMeter Meter => meter;

        public void Add(ChatStep step)
        {
            meter.Add(step.Generated);
            _content.Append(step.Content);
            _reasoning.Append(step.Reasoning);
            if (names is not null && step.Generated.Finish is not FinishReason.EndOfGeneration) _tokens.Add(names.Of(step.Generated));
            if (step.Answer is { } answer)
                _calls = [.. answer.ToolCalls.Take(mostCalls).Select(static (call, number) => new ToolCallBody(number, call.Id.Length > 0 ? call.Id : $"call_{Guid.NewGuid():N}", "function", new(call.Name, call.Arguments)))];
        }

        public ChatChoiceBody Whole() => new(index, new(Role, _content.Length > 0 || _calls.Length == 0 ? _content.ToString() : null, _reasoning.Length > 0 ? _reasoning.ToString() : null,
            _calls.Length > 0 ? [.. _calls.Select(static call => call with { Index = null })] : null), null, names is null ? null : new(_tokens), Reason());

        /// <summary>What a stream is told of a step that was added; log-probabilities wait for the text that they belong to.</summary>
        public IEnumerable<ChatChoiceBody> Parts(ChatStep step)
        {
            if (meter.Tokens == 1) yield return Part(new(Role, "", null, null), null, null);
            if (step.Content.Length > 0 || step.Reasoning.Length > 0 || (step.Answer is not null && _tokens.Count > _shownTokens))
            {
                yield return Part(new(null, step.Content, step.Reasoning.Length > 0 ? step.Reasoning : null, null), names is null ? null : new([.. _tokens.Skip(_shownTokens)]), null);
                _shownTokens = _tokens.Count;
            }
            if (step.Answer is null) yield break;
            if (_calls.Length > 0) yield return Part(new(null, null, null, _calls), null, null);
            yield return Part(new(null, null, null, null), null, Reason());
        }

        private const string Role = "assistant";

        private string? Reason() => _calls.Length > 0 && meter.FinishReason is "stop" ? "tool_calls" : meter.FinishReason;

        private ChatChoiceBody Part(ChatMessageBody delta, ChatLogProbsBody? logProbs, string? finish) => new(index, null, delta, logProbs, finish);
    }
}
