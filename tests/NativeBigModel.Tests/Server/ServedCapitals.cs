using System.ClientModel;
using System.Net;
using System.Text;
using System.Text.Json;
using NativeBigModel.Server;
using OpenAI;
using OpenAI.Chat;

namespace NativeBigModel.Tests.Server;

/// <summary>The bundled model, served, for as many conversations at once as there are sessions.</summary>
public sealed class ServedCapitals : IAsyncLifetime
{
    public const int Sessions = 3;
    public const int Queue = 4;

    public BigModel Model { get; private set; } = null!;

    public ModelServer Server { get; private set; } = null!;

    public HttpClient Http { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        Model = await Capitals.Load(options: Capitals.Small() with { Sessions = Sessions });
        Server = await ModelServer.StartAsync(Model, new() { MaxQueued = Queue, MaxBodyBytes = 1 << 20, ModelIds = ["capitals", "other-name"] }, port: 0);
        // A client that leaves would read on, up to two seconds long, to keep its connection.
        Http = new(new SocketsHttpHandler { MaxResponseDrainSize = 0 }) { BaseAddress = Server.Address };
    }

    public async Task DisposeAsync()
    {
        Http.Dispose();
        await Server.DisposeAsync();
        await Model.DisposeAsync();
    }

    public ChatClient Client(string model = "capitals") => Client(Server, model);

    public static ChatClient Client(ModelServer server, string model = "capitals", string key = "none") =>
        new(model, new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri(server.Address, "v1"), RetryPolicy = new System.ClientModel.Primitives.ClientRetryPolicy(0) });

    /// <summary>Posts a body, and reads the answer as JSON.</summary>
    public async Task<(HttpStatusCode Status, JsonElement Body)> Post(string path, string json)
    {
        using StringContent content = new(json, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await Http.PostAsync(path, content);
        return (response.StatusCode, await Json(response));
    }

    public static async Task<JsonElement> Json(HttpResponseMessage response)
    {
        using JsonDocument document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync());
        return document.RootElement.Clone();
    }

    /// <summary>What a metric says; 0 where it is not there yet.</summary>
    public async Task<double> Metric(string name)
    {
        string? line = (await Http.GetStringAsync("metrics")).Split('\n').FirstOrDefault(line => line.StartsWith(name + " ", StringComparison.Ordinal));
        return line is null ? 0 : double.Parse(line.Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Waits until no answer is computed or waits for its turn.</summary>
    public async Task Idle()
    {
        for (int i = 0; i < 600 && await Metric("nbm_answers_active") + await Metric("nbm_answers_queued") > 0; i++) await Task.Delay(50);
        Assert.Equal((0d, 0d), (await Metric("nbm_answers_active"), await Metric("nbm_answers_queued")));
    }
}
