using System.Collections.Immutable;
using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeBigModel.Chat;
using NativeBigModel.Extensions.AI;

namespace NativeBigModel.Tests.Chat;

/// <summary>Calls that are required of a model that was never taught to call anything.</summary>
[Collection(EngineGroup.Name)]
public class ToolChoiceTests : IAsyncLifetime
{
    // Tools are told in many tokens of a vocabulary that was made for other words.
    private BigModel _model = null!;
    private ImmutableDictionary<int, float> _unlikelyBlanks = null!;

    public async Task InitializeAsync()
    {
        _model = await Capitals.Load(options: Capitals.Small() with { ContextLength = 512 });
        _unlikelyBlanks = Enumerable.Range(0, _model.Tokenizer.TokenCount).Where(token => string.IsNullOrWhiteSpace(_model.Tokenizer.Decode([token]))).ToImmutableDictionary(token => token, _ => -100f);
    }

    public Task DisposeAsync() => _model.DisposeAsync().AsTask();

    private static readonly Microsoft.Extensions.AI.ChatMessage[] s_question = [new(ChatRole.User, "What is the capital of France?")];

    private static readonly AITool[] s_tools = [Function("get_weather", "city", "Paris", "Oslo"), Function("get_time", "zone", "CET", "UTC")];

    public static TheoryData<string> Formats => [ChatFormats.Hermes, ChatFormats.Mistral, ChatFormats.Thinking];

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task A_certain_function_is_called_with_arguments_of_its_schema(string source)
    {
        foreach ((string name, string argument, string[] values) in ((string, string, string[])[])[("get_weather", "city", ["Paris", "Oslo"]), ("get_time", "zone", ["CET", "UTC"])])
        {
            ChatResponse response = await Client(source).GetResponseAsync(s_question, Options(ChatToolMode.RequireSpecific(name)));
            Assert.NotEmpty(Calls(response));
            Assert.Equal(name, Calls(response)[0].Name);
            Assert.Contains(Assert.IsType<JsonElement>(Calls(response)[0].Arguments![argument]).GetString(), values);
            Assert.Empty(response.Text.Trim());
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task Some_function_is_called_where_any_is_required_and_none_where_the_model_decides(string source)
    {
        ChatResponse required = await Client(source).GetResponseAsync(s_question, Options(ChatToolMode.RequireAny));
        Assert.NotEmpty(Calls(required));
        Assert.All(Calls(required), call => Assert.Contains(call.Name, (string[])["get_weather", "get_time"]));
        Assert.Empty(required.Text.Trim());
        Assert.Empty(Calls(await Client(source).GetResponseAsync(s_question, Options(ChatToolMode.Auto))));
    }

    [Fact]
    public async Task A_call_that_cannot_be_required_is_a_named_error()
    {
        IChatClient client = Client(ChatFormats.Hermes);
        Assert.Contains("get_news", (await Assert.ThrowsAsync<InvalidOptionException>(() => client.GetResponseAsync(s_question, Options(ChatToolMode.RequireSpecific("get_news"))))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<InvalidOptionException>(() => client.GetResponseAsync(s_question, new() { ToolMode = ChatToolMode.RequireAny }));
    }

    // A model that was not taught to think does not find the end of a thought, nor, in JSON, that of a blank.
    private ChatOptions Options(ChatToolMode mode) => new()
    {
        Temperature = 0,
        MaxOutputTokens = 120,
        Tools = s_tools,
        ToolMode = mode,
        Reasoning = new() { Effort = ReasoningEffort.None },
        RawRepresentationFactory = _ => new GenerateOptions { LogitBias = _unlikelyBlanks },
    };

    private static FunctionCallContent[] Calls(ChatResponse response) => [.. response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>()];

    private IChatClient Client(string source) => _model.AsIChatClient(ChatTemplate.From(_model.Checkpoint, source));

    private static AIFunctionDeclaration Function(string name, string argument, params string[] values)
    {
        string allowed = string.Join(", ", values.Select(value => $"\"{value}\""));
        using JsonDocument schema = JsonDocument.Parse($$$"""{"type": "object", "properties": {"{{{argument}}}": {"enum": [{{{allowed}}}]}}, "required": ["{{{argument}}}"]}""");
        return AIFunctionFactory.CreateDeclaration(name, name, schema.RootElement.Clone());
    }
}
