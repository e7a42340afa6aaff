using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace NativeBigModel.Server;

/// <summary>Server-sent events. The response begins with the first of them, so that what fails before is an error with a status. Thread-safe.</summary>
internal sealed class EventStream : IAsyncDisposable
{
    // Proxies give up connections that say nothing; a long prompt may take minutes.
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(15);

    private readonly HttpResponse _response;
    private readonly SemaphoreSlim _writing = new(1, 1);
    private readonly CancellationTokenSource _ended = new();
    private readonly Task _breathing;
    private long _last = Environment.TickCount64;

    private EventStream(HttpResponse response)
    {
        _response = response;
        _breathing = BreatheAsync();
    }

    /// <summary>Sends what <paramref name="work"/> sends, and then that no event follows. An error after the first event becomes an event.</summary>
    public static async Task RunAsync(HttpContext http, Func<EventStream, Task> work)
    {
        await using EventStream events = new(http.Response);
        try
        {
            await work(events).ConfigureAwait(false);
            await events.WriteAsync("data: [DONE]\n\n"u8.ToArray(), http.RequestAborted).ConfigureAwait(false);
        }
        catch (Exception error) when (http.Response.HasStarted && !http.RequestAborted.IsCancellationRequested)
        {
            await events.SendAsync(ApiException.Of(error, http).Document, ApiJson.Relaxed.ErrorDocument, http.RequestAborted).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Sends an event.</summary>
    public Task SendAsync<T>(T value, JsonTypeInfo<T> type, CancellationToken cancel) => WriteAsync([.. "data: "u8, .. JsonSerializer.SerializeToUtf8Bytes(value, type), .. "\n\n"u8], cancel);

    public async ValueTask DisposeAsync()
    {
        await _ended.CancelAsync().ConfigureAwait(false);
        await _breathing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _ended.Dispose();
        _writing.Dispose();
    }

    private async Task WriteAsync(byte[] bytes, CancellationToken cancel)
    {
        await _writing.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            if (!_response.HasStarted)
            {
                _response.ContentType = "text/event-stream; charset=utf-8";
                _response.Headers.CacheControl = "no-cache";
                _response.Headers["X-Accel-Buffering"] = "no";
            }
            await _response.Body.WriteAsync(bytes, cancel).ConfigureAwait(false);
            await _response.Body.FlushAsync(cancel).ConfigureAwait(false);
            Volatile.Write(ref _last, Environment.TickCount64);
        }
        finally { _writing.Release(); }
    }

    // A comment, which readers of events skip.
    private async Task BreatheAsync()
    {
        using PeriodicTimer timer = new(s_silence);
        while (await timer.WaitForNextTickAsync(_ended.Token).ConfigureAwait(false))
        {
            if (Environment.TickCount64 - Volatile.Read(ref _last) >= s_silence.TotalMilliseconds / 2) await WriteAsync(": still at work\n\n"u8.ToArray(), _ended.Token).ConfigureAwait(false);
        }
    }
}
