using System.ClientModel;
using System.Net;
using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeBigModel.Extensions.AI;
using OpenAI.Chat;
using ChatMessage = OpenAI.Chat.ChatMessage;

namespace NativeBigModel.Tests.Server;

/// <summary>/v1/chat/completions, by OpenAI's own client.</summary>
[Collection(EngineGroup.Name)]
public class ChatCompletionTests(ServedCapitals served) : IClassFixture<ServedCapitals>
{
    private const string Chat = "v1/chat/completions";

    private static readonly ChatMessage[] s_france = [new UserChatMessage("What is the capital of France?")];

    private static ChatCompletionOptions Greedy => new() { Temperature = 0, MaxOutputTokenCount = 40 };

    [Theory]
    [InlineData("France")]
    [InlineData("Japan")]
    [InlineData("Germany")]
    [InlineData("Italy")]
    [InlineData("Spain")]
    [InlineData("Portugal")]
    [InlineData("Greece")]
    [InlineData("Austria")]
    [InlineData("Poland")]
    [InlineData("Sweden")]
    [InlineData("Norway")]
    [InlineData("Finland")]
    [InlineData("Denmark")]
    [InlineData("Ireland")]
    [InlineData("Egypt")]
    [InlineData("Canada")]
    [InlineData("China")]
    [InlineData("Russia")]
    [InlineData("Hungary")]
    [InlineData("Cuba")]
    public async Task It_answers_as_the_model_does_in_process(string country)
    {
        string question = $"What is the capital of {country}?";
        ChatResponse inside = await served.Model.AsIChatClient().GetResponseAsync(question, new() { Temperature = 0, MaxOutputTokens = 40 });
        ChatCompletion outside = await served.Client().CompleteChatAsync([new UserChatMessage(question)], Greedy);
        Assert.Contains(country, outside.Content[0].Text, StringComparison.Ordinal);
        Assert.Equal(inside.Text, outside.Content[0].Text);
        Assert.Equal(OpenAI.Chat.ChatFinishReason.Stop, outside.FinishReason);
        Assert.Equal((inside.Usage!.InputTokenCount, inside.Usage.OutputTokenCount), (outside.Usage.InputTokenCount, outside.Usage.OutputTokenCount));
        Assert.Equal("capitals", outside.Model);
    }

    [Fact]
    public async Task A_stream_is_the_answer_in_parts()
    {
        List<StreamingChatCompletionUpdate> updates = [];
        await foreach (StreamingChatCompletionUpdate update in served.Client().CompleteChatStreamingAsync(s_france, Greedy)) updates.Add(update);
        ChatCompletion whole = await served.Client().CompleteChatAsync(s_france, Greedy);
        Assert.True(updates.Count > 5);
        Assert.Single(updates.Select(update => update.CompletionId).Distinct());
        Assert.Equal(whole.Content[0].Text, string.Concat(updates.SelectMany(update => update.ContentUpdate).Select(part => part.Text)));
        Assert.Equal([OpenAI.Chat.ChatFinishReason.Stop], updates.Select(update => update.FinishReason).OfType<OpenAI.Chat.ChatFinishReason>());
        // The client asks for usage, which comes once, at the end.
        ChatTokenUsage usage = Assert.Single(updates.Select(update => update.Usage).OfType<ChatTokenUsage>());
        Assert.Same(updates[^1].Usage, usage);
        Assert.Equal((whole.Usage.InputTokenCount, whole.Usage.OutputTokenCount), (usage.InputTokenCount, usage.OutputTokenCount));
    }

    [Fact]
    public async Task A_stream_without_usage_ends_with_done()
    {
        using HttpRequestMessage request = new(HttpMethod.Post, Chat) { Content = new StringContent("""{"messages": [{"role": "user", "content": "Hi"}], "stream": true, "max_tokens": 3}""", null, "application/json") };
        using HttpResponseMessage response = await served.Http.SendAsync(request);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        string[] lines = (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("data: [DONE]", lines[^1]);
        Assert.All(lines, line => Assert.StartsWith("data: ", line, StringComparison.Ordinal));
        Assert.All(lines[..^1], line => Assert.False(JsonDocument.Parse(line["data: ".Length..]).RootElement.TryGetProperty("usage", out _)));
    }

    [Fact]
    public async Task A_prompt_that_begins_like_another_is_told_as_cached()
    {
        await served.Client().CompleteChatAsync(s_france, Greedy);
        ChatCompletion again = await served.Client().CompleteChatAsync(s_france, Greedy);
        Assert.InRange(again.Usage.InputTokenDetails.CachedTokenCount, 1, again.Usage.InputTokenCount - 1);
    }

    [Fact]
    public async Task What_is_asked_for_is_heeded()
    {
        ChatCompletion cut = await served.Client().CompleteChatAsync(s_france, new() { Temperature = 0, MaxOutputTokenCount = 3 });
        Assert.Equal((OpenAI.Chat.ChatFinishReason.Length, 3), (cut.FinishReason, cut.Usage.OutputTokenCount));

        ChatCompletionOptions stops = Greedy;
        stops.StopSequences.Add("Paris");
        ChatCompletion stopped = await served.Client().CompleteChatAsync(s_france, stops);
        Assert.Equal((OpenAI.Chat.ChatFinishReason.Stop, "The capital of France is"), (stopped.FinishReason, stopped.Content[0].Text.Trim()));

        (_, JsonElement single) = await served.Post(Chat, """{"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0, "stop": "Paris"}""");
        Assert.Equal(stopped.Content[0].Text, single.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());

        const string story = """{"messages": [{"role": "user", "content": "Tell me a story"}], "temperature": 2, "top_p": 1, "top_k": 0, "min_p": 0, "seed": 7, "max_tokens": 20}""";
        (_, JsonElement once) = await served.Post(Chat, story);
        (_, JsonElement twice) = await served.Post(Chat, story);
        (_, JsonElement other) = await served.Post(Chat, story.Replace("7", "8", StringComparison.Ordinal));
        Assert.Equal(Text(once), Text(twice));
        Assert.NotEqual(Text(once), Text(other));
    }

    [Fact]
    public async Task A_bias_bans_a_token()
    {
        int paris = served.Model.Tokenizer.Encode(" Paris", addSpecial: false)[0];
        ChatCompletionOptions options = Greedy;
        options.LogitBiases[paris] = -100;
        ChatCompletion answer = await served.Client().CompleteChatAsync(s_france, options);
        Assert.DoesNotContain("Paris", answer.Content[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Several_answers_have_their_numbers_and_are_what_they_would_be_alone()
    {
        const string two = """{"messages": [{"role": "user", "content": "Tell me a story"}], "temperature": 2, "top_p": 1, "top_k": 0, "min_p": 0, "seed": 20, "max_tokens": 12, "n": 2}""";
        (HttpStatusCode status, JsonElement body) = await served.Post(Chat, two);
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal([0, 1], body.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("index").GetInt32()));
        (_, JsonElement second) = await served.Post(Chat, two.Replace("\"n\": 2", "\"n\": 1", StringComparison.Ordinal).Replace("20", "21", StringComparison.Ordinal));
        Assert.Equal(Text(second), Text(body, 1));
        Assert.NotEqual(Text(body), Text(body, 1));
        Assert.Equal(body.GetProperty("usage").GetProperty("total_tokens").GetInt32(), body.GetProperty("usage").GetProperty("prompt_tokens").GetInt32() + body.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    [Fact]
    public async Task Log_probabilities_are_the_models_own()
    {
        ChatCompletionOptions options = Greedy;
        (options.IncludeLogProbabilities, options.TopLogProbabilityCount) = (true, 2);
        ChatCompletion answer = await served.Client().CompleteChatAsync(s_france, options);
        Assert.Equal(answer.Content[0].Text, string.Concat(answer.ContentTokenLogProbabilities.Select(token => token.Token)));
        int[] prompt = served.Model.Tokenizer.Encode(NativeBigModel.Chat.ChatTemplate.Find(served.Model.Checkpoint)!.Render([NativeBigModel.Chat.ChatMessage.User("What is the capital of France?")]));
        List<GenerationStep> steps = [];
        await foreach (GenerationStep step in served.Model.GenerateAsync(prompt, Capitals.Greedy with { LogProbs = 2 })) steps.Add(step);
        Assert.Equal(steps.Count - 1, answer.ContentTokenLogProbabilities.Count);
        foreach ((ChatTokenLogProbabilityDetails told, GenerationStep step) in answer.ContentTokenLogProbabilities.Zip(steps))
        {
            Assert.Equal(served.Model.Tokenizer.Piece(step.Token), told.Utf8Bytes!.Value.ToArray());
            Assert.Equal(step.LogProb!.Value, told.LogProbability, 1e-3);
            Assert.Equal(2, told.TopLogProbabilities.Count);
            Assert.Equal(told.Token, told.TopLogProbabilities[0].Token);
        }

        List<ChatTokenLogProbabilityDetails> streamed = [];
        await foreach (StreamingChatCompletionUpdate update in served.Client().CompleteChatStreamingAsync(s_france, options)) streamed.AddRange(update.ContentTokenLogProbabilities);
        Assert.Equal(answer.ContentTokenLogProbabilities.Select(token => token.Token), streamed.Select(token => token.Token));
    }

    [Fact]
    public async Task A_schema_is_followed()
    {
        ChatCompletionOptions options = new()
        {
            Temperature = 0,
            MaxOutputTokenCount = 200,
            ResponseFormat = OpenAI.Chat.ChatResponseFormat.CreateJsonSchemaFormat("answer", BinaryData.FromString("""{"type": "object", "properties": {"sure": {"type": "boolean"}, "of": {"enum": ["France", "Italy"]}}, "required": ["sure", "of"], "additionalProperties": false}""")),
        };
        ChatCompletion answer = await served.Client().CompleteChatAsync(s_france, options);
        using JsonDocument document = JsonDocument.Parse(answer.Content[0].Text);
        Assert.Contains(document.RootElement.GetProperty("sure").ValueKind, (JsonValueKind[])[JsonValueKind.True, JsonValueKind.False]);
        Assert.Contains(document.RootElement.GetProperty("of").GetString(), (string[])["France", "Italy"]);
        Assert.Equal(OpenAI.Chat.ChatFinishReason.Stop, answer.FinishReason);
    }

    [Fact]
    public async Task Parts_and_developers_are_read()
    {
        (_, JsonElement parts) = await served.Post(Chat, """{"temperature": 0, "messages": [{"role": "user", "content": [{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}]}]}""");
        Assert.Equal("The capital of France is Paris.", Text(parts).Trim());
        (_, JsonElement developer) = await served.Post(Chat, """{"max_tokens": 1, "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}""");
        (_, JsonElement system) = await served.Post(Chat, """{"max_tokens": 1, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}""");
        Assert.Equal(Prompt(system), Prompt(developer));

        static int Prompt(JsonElement body) => body.GetProperty("usage").GetProperty("prompt_tokens").GetInt32();
    }

    [Fact]
    public async Task A_prompt_that_is_too_long_is_told_with_both_numbers()
    {
        ClientResultException error = await Assert.ThrowsAsync<ClientResultException>(() => served.Client().CompleteChatAsync([new UserChatMessage(string.Join(' ', Enumerable.Repeat("capital", 1000)))]));
        Assert.Equal(400, error.Status);
        Assert.Contains("context_length_exceeded", error.Message, StringComparison.Ordinal);
        Assert.Matches(@"the prompt has 10\d\d tokens, and the context holds 256", error.Message);
    }

    private static string Text(JsonElement body, int choice = 0) => body.GetProperty("choices")[choice].GetProperty("message").GetProperty("content").GetString()!;
}
