using System.Net.Mime;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Net.Http.Headers;

namespace NativeBigModel.Server;

/// <summary>JSON in and out.</summary>
internal static class JsonBody
{
    /// <summary>Reads the body of a request.</summary>
    /// <exception cref="ApiException">It is too large, or not UTF-8.</exception>
    /// <exception cref="JsonException">It is no JSON, or has a member of the wrong type.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext http, JsonTypeInfo<T> type, long limit)
    {
        // Other types can be sent by any page of the web without asking first.
        if (!MediaTypeHeaderValue.TryParse(http.Request.ContentType, out MediaTypeHeaderValue? media) || !media.MediaType.Equals(MediaTypeNames.Application.Json, StringComparison.OrdinalIgnoreCase))
            throw new ApiException(StatusCodes.Status415UnsupportedMediaType, "the body must be JSON, with 'Content-Type: application/json'", code: "unsupported_media_type");
        byte[] body = await ReadAllAsync(http, limit).ConfigureAwait(false);
        if (!Utf8.IsValid(body)) throw new ApiException(StatusCodes.Status400BadRequest, "the body is not UTF-8");
        return JsonSerializer.Deserialize(body, type) ?? throw new ApiException(StatusCodes.Status400BadRequest, "the body is null, and an object was expected");
    }

    public static async Task WriteAsync<T>(HttpResponse response, T value, JsonTypeInfo<T> type)
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(value, type);
        response.ContentType = MediaTypeNames.Application.Json;
        response.ContentLength = body.Length;
        await response.Body.WriteAsync(body).ConfigureAwait(false);
    }

    private static async Task<byte[]> ReadAllAsync(HttpContext http, long limit)
    {
        // The server's own limit would cut the connection; without it, a client that is still sending gets its answer.
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } feature) feature.MaxRequestBodySize = null;
        if (http.Request.ContentLength > limit) throw ApiException.TooLarge(limit);
        using MemoryStream all = new();
        byte[] buffer = new byte[16384];
        int read;
        while ((read = await http.Request.Body.ReadAsync(buffer, http.RequestAborted).ConfigureAwait(false)) > 0)
        {
            if (all.Length + read > limit) throw ApiException.TooLarge(limit);
            all.Write(buffer, 0, read);
        }
        return all.ToArray();
    }
}
