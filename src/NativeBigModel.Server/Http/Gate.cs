using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Net.Http.Headers;

namespace NativeBigModel.Server;

/// <summary>What stands before every endpoint: the key, and errors in OpenAI's shape.</summary>
internal sealed partial class Gate(ModelServerOptions options, Metrics metrics)
{
    private const string Scheme = "Bearer ";

    private readonly byte[]? _key = options.ApiKey is { } key ? SHA256.HashData(Encoding.UTF8.GetBytes(key)) : null;

    /// <summary>An endpoint behind the gate.</summary>
    /// <param name="name">What metrics call it.</param>
    /// <param name="handle">The endpoint.</param>
    /// <param name="open">Whether no key is asked for.</param>
    public RequestDelegate Guard(string name, Func<HttpContext, Task> handle, bool open = false) => async http =>
    {
        int status;
        try
        {
            if (!open) RequireKey(http.Request);
            await handle(http).ConfigureAwait(false);
            status = http.Response.StatusCode;
        }
        catch (Exception error)
        {
            ApiException refusal = ApiException.Of(error, http);
            status = refusal.Status;
            if (status >= StatusCodes.Status500InternalServerError && options.Logger is { } log) Failed(log, error, name);
            if (http.RequestAborted.IsCancellationRequested) http.Abort();
            else if (!http.Response.HasStarted) await Answer(http.Response, refusal).ConfigureAwait(false);
        }
        metrics.Request(name, status);
    };

    /// <summary>Sends a refusal.</summary>
    public static Task Answer(HttpResponse response, ApiException refusal)
    {
        response.StatusCode = refusal.Status;
        if (refusal.RetryAfter is { } seconds) response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        if (refusal.Status == StatusCodes.Status401Unauthorized) response.Headers.WWWAuthenticate = "Bearer";
        return JsonBody.WriteAsync(response, refusal.Document, ApiJson.Relaxed.ErrorDocument);
    }

    /// <exception cref="ApiException">The key is missing or another one.</exception>
    private void RequireKey(HttpRequest request)
    {
        if (_key is null) return;
        string? header = request.Headers[HeaderNames.Authorization];
        if (header is null || !header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)) throw Unauthorized("the server wants a key: send it as 'Authorization: Bearer KEY'");
        // Hashes are compared, so that the time tells neither the key nor its length.
        if (!CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(header[Scheme.Length..].Trim())), _key)) throw Unauthorized("the key is not this server's");
    }

    private static ApiException Unauthorized(string message) => new(StatusCodes.Status401Unauthorized, message, code: "invalid_api_key");

    [LoggerMessage(Level = LogLevel.Error, Message = "A request of {Endpoint} failed")]
    private static partial void Failed(ILogger log, Exception error, string endpoint);
}
