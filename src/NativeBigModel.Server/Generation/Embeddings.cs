using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace NativeBigModel.Server;

/// <summary>/v1/embeddings: texts as vectors of length 1. The texts of a request are computed one after the other, in one answer's place.</summary>
internal sealed class Embeddings(ServedModel served)
{
    private const int MaxInputs = 2048;

    public async Task HandleAsync(HttpContext http)
    {
        EmbeddingRequest request = await JsonBody.ReadAsync(http, ApiJson.Default.EmbeddingRequest, served.Options.MaxBodyBytes).ConfigureAwait(false);
        string name = served.Name(request.Model);
        if (request.EncodingFormat is not (null or "float" or "base64")) throw ApiException.BadValue("encoding_format", "it may be float or base64");
        if (request.Dimensions is { } dimensions && dimensions != served.Model.VectorLength) throw ApiException.BadValue("dimensions", $"{dimensions}; this model's vectors have {served.Model.VectorLength}");
        JsonElement[] given = TextInputs.Split(request.Input, "input");
        if (given.Length > MaxInputs) throw ApiException.BadValue("input", $"{given.Length} texts; there may be {MaxInputs}");
        using Places.Ticket ticket = served.Places.Enter(1);
        int[][] inputs = [.. given.Select(Tokens)];
        int tokens = inputs.Sum(static input => input.Length);
        served.Metrics.PromptTokens(tokens);
        var data = new List<EmbeddingBody>(inputs.Length);
        using (await ticket.TurnAsync(http.RequestAborted).ConfigureAwait(false))
        {
            foreach (int[] input in inputs)
            {
                float[] vector = await served.Model.EmbedAsync(input, normalize: true, cancel: http.RequestAborted).ConfigureAwait(false);
                data.Add(new("embedding", data.Count, Written(vector, request.EncodingFormat)));
            }
        }
        await JsonBody.WriteAsync(http.Response, new EmbeddingDocument("list", data, name, new(tokens, tokens)), ApiJson.Relaxed.EmbeddingDocument).ConfigureAwait(false);
    }

    private int[] Tokens(JsonElement input)
    {
        int[] tokens = TextInputs.Tokens(input, "input", served.Model.Tokenizer);
        return tokens.Length <= served.Model.Plan.ContextLength ? tokens : throw ApiException.TooLong(tokens.Length, served.Model.Plan.ContextLength, "input");
    }

    // Base64 is of 32-bit floats, least significant byte first, which is what all platforms of .NET have.
    private static JsonElement Written(float[] vector, string? format) => format is "base64"
        ? JsonSerializer.SerializeToElement(Convert.ToBase64String(MemoryMarshal.AsBytes<float>(vector)), ApiJson.Default.String)
        : JsonSerializer.SerializeToElement(vector, ApiJson.Default.SingleArray);
}
