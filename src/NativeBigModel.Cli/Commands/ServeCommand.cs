using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using NativeBigModel.Server;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

internal static class ServeCommand
{
    private const string KeyVariable = "NBM_API_KEY";

    public static Command Create()
    {
        var load = new LoadOptions();
        var host = new Option<string>("--host") { Description = "Where to listen; 0.0.0.0 for all of the machine's addresses", HelpName = "ADDRESS", DefaultValueFactory = _ => "127.0.0.1" };
        var port = new Option<int>("--port") { Description = "The port; 0 for one that is free", HelpName = "N", DefaultValueFactory = _ => ModelServer.DefaultPort };
        var key = new Option<string?>("--api-key") { Description = $"What clients must send as a bearer token; {KeyVariable} of the environment unless given, where other users cannot read it", HelpName = "KEY" };
        var queue = new Option<int>("--queue") { Description = "Answers that may wait for their turn; others are refused", HelpName = "N", DefaultValueFactory = _ => new ModelServerOptions().MaxQueued };
        var ids = new Option<string[]>("--model-id") { Description = "What requests call the model; its file's name unless given. May be given more than once", HelpName = "ID" };
        Option<string?> template = CommonOptions.TemplateFile();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("serve", "Load a model and serve it: OpenAI's API, metrics, and a page to chat and see where the model runs");
        load.AddPathTo(command);
        foreach (Option option in (Option[])[host, port, key, queue, ids, template]) command.Add(option);
        load.AddTo(command);
        command.Add(json);
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            var options = new ModelServerOptions
            {
                ApiKey = parsed.GetValue(key) ?? (Environment.GetEnvironmentVariable(KeyVariable) is { Length: > 0 } secret ? secret : null),
                MaxQueued = parsed.GetValue(queue),
                ModelIds = [.. parsed.GetValue(ids) ?? []],
                Logger = new ErrorLines(),
            };
            IPEndPoint endpoint = await ModelServer.EndPointAsync(parsed.GetRequiredValue(host), parsed.GetValue(port), cancel).ConfigureAwait(false);
            RequireFree(endpoint);
            using var progress = new ProgressLine("loading");
            await using LoadedModels loaded = await load.LoadAsync(parsed, progress, cancel).ConfigureAwait(false);
            progress.Dispose();
            BigModel model = loaded.Model;
            options = options with { Template = CommonOptions.ReadTemplate(parsed.GetValue(template), model.Checkpoint) };
            if (loaded.Speculation is { } ahead) options = options with { Defaults = new GenerateOptions { MaxNewTokens = model.Plan.ContextLength, Speculation = ahead } };
            await using ModelServer server = await ModelServer.StartAsync(model, options, endpoint.Address.ToString(), endpoint.Port, cancel).ConfigureAwait(false);
            if (parsed.GetValue(json)) Json.Print(new { Address = server.Address.ToString(), Plan = PlanJson.Of(model.Plan) });
            else Announce(server, model, options, endpoint);
            await Task.Delay(Timeout.Infinite, cancel).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).ConfigureAwait(false);
            await Console.Error.WriteLineAsync("stopping").ConfigureAwait(false);
        });
        return command;
    }

    private static void Announce(ModelServer server, BigModel model, ModelServerOptions options, IPEndPoint endpoint)
    {
        PlanTable.Print(model.Plan, model.Checkpoint.Describe(model.Plan.WeightType), Terminal.Console);
        if (model.Plan.Predicted is { } predicted) PlanTable.PrintSpeed(predicted, Terminal.Console);
        foreach (string note in model.Checkpoint.Notes.Concat(model.Plan.Notes)) Terminal.Console.MarkupLineInterpolated($"[yellow]note:[/] {note}");
        if (options.ApiKey is null && !IPAddress.IsLoopback(endpoint.Address)) Terminal.Console.MarkupLine("[yellow]note:[/] everyone who can reach this address is served; --api-key asks for a key");
        Terminal.Console.MarkupLineInterpolated($"serving on [bold]{server.Address}[/] (OpenAI's API at {server.Address}v1); Ctrl-C stops");
    }

    // Before minutes of loading, not after.
    private static void RequireFree(IPEndPoint endpoint)
    {
        if (endpoint.Port == 0) return;
        try
        {
            using var probe = new TcpListener(endpoint);
            probe.Start();
        }
        catch (SocketException error) { throw new InvalidOptionException($"--host and --port: {endpoint} cannot be listened at: {error.Message}"); }
    }

    /// <summary>What fails while serving, a line each on stderr.</summary>
    private sealed class ErrorLines : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel)) Console.Error.WriteLine($"error: {formatter(state, exception)}{(exception is null ? "" : $": {exception.GetType().Name}: {exception.Message}")}".ReplaceLineEndings(" "));
        }
    }
}
