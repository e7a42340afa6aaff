using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace NativeBigModel.Server;

/// <summary>What a server of its own does around the endpoints.</summary>
internal static class Surroundings
{
    /// <summary>Gives bare statuses, such as those of unknown routes, OpenAI's shape.</summary>
    /// <param name="application">The application.</param>
    /// <param name="loopbackOnly">
    /// Whether only loopback's names are answered to: a page of a site that has its own name lead to this machine would otherwise be of the server's origin.
    /// </param>
    public static void UseSurroundings(this WebApplication application, bool loopbackOnly) => application.Use(async (http, next) =>
    {
        if (loopbackOnly && !IsLoopback(http.Request.Host.Host))
        {
            await Gate.Answer(http.Response, new(StatusCodes.Status403Forbidden, $"a server without a key answers on this machine only, and '{http.Request.Host.Host}' is not one of its names", code: "wrong_host")).ConfigureAwait(false);
            return;
        }
        await next(http).ConfigureAwait(false);
        HttpResponse response = http.Response;
        if (!response.HasStarted && response.StatusCode >= StatusCodes.Status400BadRequest && response.ContentLength is null && response.ContentType is null && !http.RequestAborted.IsCancellationRequested)
            await Gate.Answer(response, ApiException.OfStatus(response.StatusCode, http.Request)).ConfigureAwait(false);
    });

    private static bool IsLoopback(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || host.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));
}
