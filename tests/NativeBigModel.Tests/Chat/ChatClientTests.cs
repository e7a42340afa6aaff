using System.Text.Json;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using NativeBigModel.Extensions.AI;
using NativeBigModel.Extensions.DependencyInjection;

namespace NativeBigModel.Tests.Chat;

[Collection(EngineGroup.Name)]
public class ChatClientTests(Capitals capitals)
{
    private static readonly ChatOptions s_greedy = new() { Temperature = 0, MaxOutputTokens = 40 };

    private IChatClient Client => capitals.Model.AsIChatClient();

    [Theory]
    [InlineData("France", "Paris")]
    [InlineData("Japan", "Tokyo")]
    [InlineData("Germany", "Berlin")]
    [InlineData("Italy", "Rome")]
    [InlineData("Spain", "Madrid")]
    [InlineData("Portugal", "Lisbon")]
    [InlineData("Greece", "Athens")]
    [InlineData("Austria", "Vienna")]
    [InlineData("Poland", "Warsaw")]
    [InlineData("Sweden", "Stockholm")]
    [InlineData("Norway", "Oslo")]
    [InlineData("Finland", "Helsinki")]
    [InlineData("Denmark", "Copenhagen")]
    [InlineData("Ireland", "Dublin")]
    [InlineData("Egypt", "Cairo")]
    [InlineData("Canada", "Ottawa")]
    [InlineData("China", "Beijing")]
    [InlineData("Russia", "Moscow")]
    [InlineData("Hungary", "Budapest")]
    [InlineData("Cuba", "Havana")]
    public async Task It_knows_the_capital(string country, string capital)
    {
        ChatResponse response = await Client.GetResponseAsync($"What is the capital of {country}?", s_greedy);
        Assert.Equal($"The capital of {country} is {capital}.", response.Text.Trim());
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
        Assert.Equal("capitals-llama", response.ModelId);
        Assert.Equal(response.Usage!.InputTokenCount + response.Usage.OutputTokenCount, response.Usage.TotalTokenCount);
        Assert.Equal(14, response.Usage.InputTokenCount);
        Assert.Equal(ChatRole.Assistant, Assert.Single(response.Messages).Role);
    }

    [Fact]
    public async Task A_stream_is_the_response_in_parts()
    {
        ChatMessage[] question = [new(ChatRole.User, "What is the capital of France?")];
        List<ChatResponseUpdate> updates = [];
        await foreach (ChatResponseUpdate update in Client.GetStreamingResponseAsync(question, s_greedy)) updates.Add(update);
        Assert.True(updates.Count > 3);
        Assert.Single(updates.Select(update => update.ResponseId).Distinct());
        Assert.Single(updates.Select(update => update.MessageId).Distinct());
        Assert.NotNull(updates[0].ResponseId);
        Assert.Equal([ChatFinishReason.Stop], updates.Select(update => update.FinishReason).OfType<ChatFinishReason>());
        Assert.Equal((await Client.GetResponseAsync(question, s_greedy)).Text, string.Concat(updates.Select(update => update.Text)));
    }

    [Fact]
    public async Task Options_are_honoured()
    {
        ChatResponse cut = await Client.GetResponseAsync("What is the capital of France?", new() { Temperature = 0, MaxOutputTokens = 3 });
        Assert.Equal((ChatFinishReason.Length, 3), (cut.FinishReason, cut.Usage!.OutputTokenCount));

        ChatResponse stopped = await Client.GetResponseAsync("What is the capital of France?", new() { Temperature = 0, StopSequences = ["Paris"] });
        Assert.Equal((ChatFinishReason.Stop, "The capital of France is"), (stopped.FinishReason, stopped.Text.Trim()));

        ChatResponse instructed = await Client.GetResponseAsync("What is the capital of France?", new() { Temperature = 0, MaxOutputTokens = 3, Instructions = "Be brief." });
        Assert.True(instructed.Usage!.InputTokenCount > cut.Usage.InputTokenCount);

        ChatOptions seeded = new() { Temperature = 2, TopK = 0, TopP = 1, Seed = 7, MaxOutputTokens = 20 };
        Assert.Equal((await Client.GetResponseAsync("Tell me a story", seeded)).Text, (await Client.GetResponseAsync("Tell me a story", seeded)).Text);
    }

    [Fact]
    public async Task A_required_function_is_called()
    {
        // Calls begin with a word that the model says by itself.
        const string rome = "{{ bos_token }}{% if tools %}{{ tools | tojson }}{{ eos_token }}\n{% endif %}{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}{% for call in message.tool_calls or [] %}Rome{\"name\": \"{{ call.function.name }}\", \"arguments\": {{ call.function.arguments | tojson }}}{% endfor %}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}";
        IChatClient client = capitals.Model.AsIChatClient(NativeBigModel.Chat.ChatTemplate.From(capitals.Model.Checkpoint, rome));
        ChatOptions options = new() { Temperature = 0, Tools = [AIFunctionFactory.CreateDeclaration("now", "", JsonElement.Parse("""{"type": "object", "properties": {}}"""))] };
        FunctionCallContent? Called(ChatResponse response) => response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>().FirstOrDefault();
        const string question = "What is the capital of Italy?";
        Assert.Null(Called(await client.GetResponseAsync(question, options)));
        options.ToolMode = ChatToolMode.RequireAny;
        Assert.Equal("now", Called(await client.GetResponseAsync(question, options))?.Name);
        options.ToolMode = ChatToolMode.RequireSpecific("now");
        Assert.Equal("now", Called(await client.GetResponseAsync(question, options))?.Name);
        options.ToolMode = ChatToolMode.RequireSpecific("then");
        await Assert.ThrowsAsync<InvalidOptionException>(() => client.GetResponseAsync(question, options));
    }

    [Fact]
    public async Task Callers_at_once_get_their_own_answers()
    {
        IChatClient client = Client;
        string[] countries = ["France", "Japan", "Germany", "Italy"];
        ChatResponse[] responses = await Task.WhenAll(countries.Select(country => client.GetResponseAsync($"What is the capital of {country}?", s_greedy)));
        Assert.Equal(["Paris", "Tokyo", "Berlin", "Rome"], responses.Select(response => response.Text.Trim().TrimEnd('.').Split(' ')[^1]));
    }

    [Fact]
    public async Task Cancelling_ends_the_stream_with_the_callers_token()
    {
        using CancellationTokenSource cancel = new();
        OperationCanceledException error = await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (ChatResponseUpdate _ in Client.GetStreamingResponseAsync([new(ChatRole.User, "Hi")], new() { MaxOutputTokens = 200, RawRepresentationFactory = _ => new GenerateOptions { IgnoreEndOfGeneration = true } }, cancel.Token))
                await cancel.CancelAsync();
        });
        Assert.Equal(cancel.Token, error.CancellationToken);
        Assert.NotEmpty((await Client.GetResponseAsync("What is the capital of France?", s_greedy)).Text);
    }

    [Fact]
    public async Task What_cannot_be_is_a_named_error()
    {
        await Assert.ThrowsAsync<ArgumentNullException>(() => Client.GetResponseAsync((IEnumerable<ChatMessage>)null!));
        await Assert.ThrowsAsync<UnsupportedModelException>(() => Client.GetResponseAsync([new(ChatRole.User, [new UriContent("https://example.com/a.png", "image/png")])]));
        await Assert.ThrowsAsync<InvalidOptionException>(() => Client.GetResponseAsync(string.Join(' ', Enumerable.Repeat("capital", 1000))));
        await Assert.ThrowsAsync<InvalidOptionException>(() => Client.GetResponseAsync("Hi", new() { TopP = 7 }));
    }

    [Fact]
    public void It_gives_what_it_is_made_of()
    {
        IChatClient client = Client;
        Assert.Same(capitals.Model, client.GetService<BigModel>());
        Assert.Same(client, client.GetService<IChatClient>());
        Assert.Equal("capitals-llama", client.GetService<ChatClientMetadata>()!.DefaultModelId);
        Assert.Null(client.GetService<BigModel>("a key"));
        Assert.Null(client.GetService<string>());
        Assert.Throws<ArgumentNullException>(() => client.GetService(null!));
    }

    [Fact]
    public async Task An_application_gets_its_client_from_its_services()
    {
        await using ServiceProvider services = new ServiceCollection().AddNativeBigModel(options => (options.ModelPath, options.Plan) = (TestFolders.Capitals, Capitals.Small())).BuildServiceProvider();
        IChatClient client = services.GetRequiredService<IChatClient>();
        Assert.Null(client.GetService<BigModel>());
        Assert.Equal("The capital of France is Paris.", (await client.GetResponseAsync("What is the capital of France?", s_greedy)).Text.Trim());
        Assert.Same(await services.GetRequiredService<BigModelProvider>().GetAsync(), client.GetService<BigModel>());
    }

    [Fact]
    public void A_service_without_a_model_says_so() =>
        Assert.Throws<OptionsValidationException>(() => new ServiceCollection().AddNativeBigModel(_ => { }).BuildServiceProvider().GetRequiredService<BigModelProvider>());
}
