using System.ClientModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using NativeBigModel.Chat;
using NativeBigModel.Planning;
using NativeBigModel.Server;
using OpenAI.Chat;

namespace NativeBigModel.Tests.Server;

/// <summary>Servers of several kinds: with a key, with tools, with streamed layers, in an application, and as a command.</summary>
[Collection(EngineGroup.Name)]
public class ModelServerTests(Capitals capitals)
{
    // Its calls begin with a word that the bundled model says by itself.
    private const string Rome = """
        {{ bos_token }}{% if tools %}<|system|>
        {% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ eos_token }}
        {% endif %}{% for message in messages %}<|{{ message.role }}|>
        {{ message.content }}{% for call in message.tool_calls or [] %}Rome{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}{% endfor %}{{ eos_token }}
        {% endfor %}{% if add_generation_prompt %}<|assistant|>
        {% endif %}
        """;

    private const string Weather = """{"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}""";

    private static readonly OpenAI.Chat.ChatMessage[] s_italy = [new UserChatMessage("What is the capital of Italy?")];

    private ChatTemplate RomeTemplate => ChatTemplate.From(capitals.Model.Checkpoint, Rome);

    [Fact]
    public async Task A_key_is_asked_for_everywhere_but_at_the_door()
    {
        await using ModelServer server = await ModelServer.StartAsync(capitals.Model, new() { ApiKey = "the key" }, port: 0);
        using HttpClient http = new() { BaseAddress = server.Address };
        foreach (string path in (string[])["v1/models", "v1/plan", "v1/live", "metrics"])
        {
            using HttpResponseMessage refused = await http.GetAsync(path);
            Assert.Equal((HttpStatusCode.Unauthorized, "Bearer"), (refused.StatusCode, refused.Headers.WwwAuthenticate.ToString()));
            Assert.Equal("invalid_api_key", (await ServedCapitals.Json(refused)).GetProperty("error").GetProperty("code").GetString());
        }
        foreach (string path in (string[])["", "health"]) Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(path)).StatusCode);
        Assert.Equal(401, (await Assert.ThrowsAsync<ClientResultException>(() => ServedCapitals.Client(server, "capitals-llama", "another").CompleteChatAsync(s_italy))).Status);
        ChatCompletion answer = await ServedCapitals.Client(server, "capitals-llama", "the key").CompleteChatAsync(s_italy, new() { Temperature = 0 });
        Assert.Equal("The capital of Italy is Rome.", answer.Content[0].Text);
    }

    [Fact]
    public async Task A_required_tool_is_called()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Small() with { ContextLength = 512 });
        await using ModelServer server = await ModelServer.StartAsync(model, new() { Template = RomeTemplate }, port: 0);
        ChatClient client = ServedCapitals.Client(server, "capitals-llama");
        ChatCompletionOptions options = new() { Temperature = 0, FrequencyPenalty = 2, ToolChoice = OpenAI.Chat.ChatToolChoice.CreateFunctionChoice("get_weather") };
        options.Tools.Add(OpenAI.Chat.ChatTool.CreateFunctionTool("get_time", "The time"));
        options.Tools.Add(OpenAI.Chat.ChatTool.CreateFunctionTool("get_weather", "The weather of a city", BinaryData.FromString(Weather)));
        ChatCompletion answer = await client.CompleteChatAsync(s_italy, options);
        OpenAI.Chat.ChatToolCall call = answer.ToolCalls[0];
        Assert.Equal(("get_weather", OpenAI.Chat.ChatFinishReason.ToolCalls), (call.FunctionName, answer.FinishReason));
        Assert.Contains(JsonElement.Parse(call.FunctionArguments.ToString()).GetProperty("city").GetString(), (string[])["Paris", "Rome"]);
        Assert.Equal("", string.Concat(answer.Content.Select(part => part.Text)));

        List<StreamingChatCompletionUpdate> updates = [];
        await foreach (StreamingChatCompletionUpdate update in client.CompleteChatStreamingAsync(s_italy, options)) updates.Add(update);
        StreamingChatToolCallUpdate[] streamed = [.. updates.SelectMany(update => update.ToolCallUpdates).Where(update => update.Index == 0)];
        Assert.Equal(("get_weather", call.FunctionArguments.ToString()), (streamed[0].FunctionName, string.Concat(streamed.Select(update => update.FunctionArgumentsUpdate))));

        // The conversation goes on with what the tool gave.
        Assert.NotEqual(0, (await client.CompleteChatAsync([.. s_italy, new AssistantChatMessage(answer), new ToolChatMessage(call.Id, "dry")], new() { Temperature = 0, MaxOutputTokenCount = 5 })).Value.Usage.OutputTokenCount);
    }

    [Fact]
    public void A_tool_that_is_required_and_unknown_or_has_no_format_is_refused()
    {
        ChatRenderOptions render = new() { Tools = [new("get_time", "The time", JsonElement.Parse("""{"type": "object", "properties": {}}"""))], RequiredTools = ["get_weather"] };
        Assert.Contains("get_weather", Assert.Throws<InvalidOptionException>(() => new ChatTurn(capitals.Model, RomeTemplate, [NativeBigModel.Chat.ChatMessage.User("Hi")], render)).Message, StringComparison.Ordinal);
        ChatTemplate plain = ChatTemplate.Find(capitals.Model.Checkpoint)!;
        Assert.Throws<ChatTemplateException>(() => new ChatTurn(capitals.Model, plain, [NativeBigModel.Chat.ChatMessage.User("Hi")], render with { RequiredTools = ["get_time"] }));
    }

    [Fact]
    public async Task What_a_streamed_plan_does_is_told()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Small() with { MaxMemory = null, Offload = OffloadMode.Stream });
        await using ModelServer server = await ModelServer.StartAsync(model, port: 0);
        using HttpClient http = new() { BaseAddress = server.Address };
        await ServedCapitals.Client(server, "capitals-llama").CompleteChatAsync(s_italy, new() { Temperature = 0 });
        JsonElement plan = JsonElement.Parse(await http.GetStringAsync("v1/plan")), pass = JsonElement.Parse(await http.GetStringAsync("v1/live")).GetProperty("pass");
        Assert.Equal(model.Plan.Layers.Select(layer => (layer.Name, layer.Streamed)), plan.GetProperty("layers").EnumerateArray().Select(layer => (layer.GetProperty("name").GetString()!, layer.GetProperty("streamed").GetBoolean())));
        Assert.True(pass.GetProperty("bytes_per_second").GetDouble() > 0);
        string[] lanes = [.. pass.GetProperty("segments").EnumerateArray().Select(segment => segment.GetProperty("lane").GetString()!).Distinct()];
        Assert.Contains("cpu", lanes);
        Assert.True(lanes.Contains("link") || lanes.Contains("disk"));
        Assert.All(pass.GetProperty("segments").EnumerateArray(), segment => Assert.InRange(segment.GetProperty("start").GetDouble(), 0, segment.GetProperty("end").GetDouble()));
        string metrics = await http.GetStringAsync("metrics");
        Assert.Contains("nbm_group_streamed_bytes_total{group=\"blk.0\"}", metrics, StringComparison.Ordinal);
        Assert.All(metrics.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#'), line => Assert.Matches(@"^[a-z_]+(\{[a-z]+=""[^""]*""(,[a-z]+=""[^""]*"")*\})? [0-9.eE+-]+$", line));
    }

    [Fact]
    public async Task The_page_is_whole_and_runs_its_own_script_only()
    {
        await using ModelServer server = await ModelServer.StartAsync(capitals.Model, port: 0);
        using HttpClient http = new() { BaseAddress = server.Address };
        using HttpResponseMessage page = await http.GetAsync("");
        string html = await page.Content.ReadAsStringAsync(), policy = string.Join("", page.Headers.GetValues("Content-Security-Policy"));
        Assert.Equal("text/html", page.Content.Headers.ContentType!.MediaType);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.DoesNotMatch("""(src|href)="https?:""", html);
        string script = html[(html.IndexOf("<script>", StringComparison.Ordinal) + 8)..html.IndexOf("</script>", StringComparison.Ordinal)];
        Assert.Contains($"script-src 'sha256-{Convert.ToBase64String(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(script)))}'", policy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_application_maps_it_beside_its_own()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        await using WebApplication application = builder.Build();
        application.Urls.Add("http://127.0.0.1:0");
        application.MapGet("/mine", () => "mine");
        application.MapGroup("/model").MapNativeBigModel(capitals.Model, new() { ModelIds = ["m"] });
        await application.StartAsync();
        using HttpClient http = new() { BaseAddress = new Uri(application.Urls.First()) };
        Assert.Equal("mine", await http.GetStringAsync("mine"));
        Assert.Contains("\"m\"", await http.GetStringAsync("model/v1/models"), StringComparison.Ordinal);
        await application.StopAsync();
    }

    [Fact]
    public async Task Options_that_cannot_be_are_refused()
    {
        await Assert.ThrowsAsync<InvalidOptionException>(() => ModelServer.StartAsync(capitals.Model, new() { ApiKey = "" }, port: 0));
        await Assert.ThrowsAsync<InvalidOptionException>(() => ModelServer.StartAsync(capitals.Model, new() { MaxQueued = -1 }, port: 0));
        await Assert.ThrowsAsync<InvalidOptionException>(() => ModelServer.StartAsync(capitals.Model, port: 70000));
        await using ModelServer first = await ModelServer.StartAsync(capitals.Model, port: 0);
        await Assert.ThrowsAsync<IOException>(() => ModelServer.StartAsync(capitals.Model, port: first.Address.Port));
    }

    [Fact]
    public async Task The_command_serves_until_it_is_told_to_stop()
    {
        int port;
        using (TcpListener free = new(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }
        string? answer = null;
        Tool.Result serve = await Tool.Run("nbm.dll", ["serve", TestFolders.Capitals, "--port", $"{port}", "--context", "256", "--max-memory", "cpu=1GiB", "--model-id", "small"], process => _ = Task.Run(async () =>
        {
            try
            {
                using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
                while (!process.HasExited)
                {
                    try
                    {
                        if ((await http.GetAsync("health")).IsSuccessStatusCode) break;
                    }
                    catch (HttpRequestException) { await Task.Delay(100); }
                }
                using HttpResponseMessage response = await http.PostAsync("v1/chat/completions", new StringContent("""{"model": "small", "temperature": 0, "messages": [{"role": "user", "content": "What is the capital of Italy?"}]}""", null, "application/json"));
                answer = await response.Content.ReadAsStringAsync();
            }
            finally
            {
                using Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
                await kill.WaitForExitAsync();
            }
        }));
        Assert.Equal(0, serve.ExitCode);
        Assert.Contains("The capital of Italy is Rome.", answer, StringComparison.Ordinal);
        Assert.Contains($"http://127.0.0.1:{port}/v1", serve.Output, StringComparison.Ordinal);
        Assert.Contains("0-5", serve.Output, StringComparison.Ordinal);
        Assert.Empty(serve.ErrorLines);
    }

    [Fact]
    public async Task A_port_that_is_taken_is_told_before_anything_is_loaded()
    {
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        Tool.Result serve = await Tool.Run("serve", "no-such-model", "--port", $"{((IPEndPoint)taken.LocalEndpoint).Port}");
        Assert.Equal(2, serve.ExitCode);
        Assert.Contains("cannot be listened at", Assert.Single(serve.ErrorLines), StringComparison.Ordinal);
    }
}
