using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;

namespace NativeBigModel.Server;

/// <summary>A refusal in the terms of OpenAI's API.</summary>
/// <param name="status">The HTTP status.</param>
/// <param name="message">What is wrong, in a sentence.</param>
/// <param name="param">The member of the request that is meant, or null.</param>
/// <param name="code">A word for programs, or null.</param>
/// <param name="type">The kind of error.</param>
internal sealed class ApiException(int status, string message, string? param = null, string? code = null, string type = "invalid_request_error") : Exception(message)
{
    private const int ClientClosedRequest = 499;

    // Members of requests by the options that they set.
    private static readonly Dictionary<string, string> s_params = new()
    {
        [nameof(GenerateOptions.MaxNewTokens)] = "max_tokens",
        [nameof(GenerateOptions.Temperature)] = "temperature",
        [nameof(GenerateOptions.TopK)] = "top_k",
        [nameof(GenerateOptions.TopP)] = "top_p",
        [nameof(GenerateOptions.MinP)] = "min_p",
        [nameof(GenerateOptions.RepetitionPenalty)] = "repetition_penalty",
        [nameof(GenerateOptions.FrequencyPenalty)] = "frequency_penalty",
        [nameof(GenerateOptions.PresencePenalty)] = "presence_penalty",
        [nameof(GenerateOptions.LogitBias)] = "logit_bias",
        [nameof(GenerateOptions.LogProbs)] = "logprobs",
        [nameof(GenerateOptions.StopStrings)] = "stop",
        [nameof(GenerateOptions.Grammar)] = "response_format",
        ["JSON schema"] = "response_format",
    };

    public int Status { get; } = status;

    /// <summary>Seconds after which to try again, or null.</summary>
    public int? RetryAfter { get; init; }

    public ErrorDocument Document { get; } = new(new(message, type, param, code));

    public static ApiException BadValue(string param, string problem) => new(StatusCodes.Status400BadRequest, $"{param}: {problem}", param);

    public static ApiException NoSuchModel(string id) => new(StatusCodes.Status404NotFound, $"the model '{Shown(id)}' is not served here", "model", "model_not_found");

    public static ApiException TooLarge(long limit) => new(StatusCodes.Status413PayloadTooLarge, $"the body of the request is larger than {limit} bytes", code: "request_too_large");

    public static ApiException TooLong(int tokens, int context, string param = "messages") =>
        new(StatusCodes.Status400BadRequest, $"the prompt has {tokens} tokens, and the context holds {context}", param, "context_length_exceeded");

    /// <summary>The bare status that a server gives, in words.</summary>
    public static ApiException OfStatus(int status, HttpRequest request) => status switch
    {
        StatusCodes.Status404NotFound => new(status, $"there is nothing at {Shown(request.Path)}", code: "unknown_url"),
        StatusCodes.Status405MethodNotAllowed => new(status, $"{Shown(request.Method)} is not answered at {Shown(request.Path)}", code: "method_not_allowed"),
        _ => new(status, $"the request was refused with status {status}"),
    };

    /// <summary>What a client is told of an error.</summary>
    public static ApiException Of(Exception error, HttpContext http) => error switch
    {
        ApiException known => known,
        JsonException { InnerException: JsonException } or JsonException { Path: null } => new(StatusCodes.Status400BadRequest, $"the body is no JSON: {Shown(error.Message)}"),
        JsonException json => new(StatusCodes.Status400BadRequest, $"{Path(json) ?? "the body"}: the value is of another type than was expected", Path(json)),
        BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } => new(StatusCodes.Status413PayloadTooLarge, "the body of the request is too large", code: "request_too_large"),
        BadHttpRequestException bad => new(bad.StatusCode, bad.Message),
        ContextFullException full => TooLong(full.Tokens, full.ContextLength),
        InvalidOptionException option => new(StatusCodes.Status400BadRequest, option.Message, s_params.GetValueOrDefault(option.Message.Split(':')[0])),
        ChatTemplateException template => new(StatusCodes.Status400BadRequest, template.Message, "messages"),
        UnsupportedModelException unsupported => new(StatusCodes.Status400BadRequest, unsupported.Message, code: "unsupported"),
        OperationCanceledException when http.RequestAborted.IsCancellationRequested => new(ClientClosedRequest, "the client closed the connection"),
        OperationCanceledException or ObjectDisposedException => new(StatusCodes.Status503ServiceUnavailable, "the server is stopping", code: "stopping", type: "server_error"),
        BigModelException model => new(StatusCodes.Status500InternalServerError, model.Message, type: "server_error"),
        _ => new(StatusCodes.Status500InternalServerError, "the server failed; its log says more", type: "server_error"),
    };

    // What a client sent may be long.
    private static string Shown(string text) => text.Length <= 100 ? text : text[..100] + "...";

    // $.messages[0].role is the member messages[0].role.
    private static string? Path(JsonException error) => error.Path is { Length: > 2 } path && path.StartsWith("$.", StringComparison.Ordinal) ? Shown(path[2..]) : null;
}

/// <summary>An error as it is sent.</summary>
internal sealed record ErrorDocument(ErrorBody Error);

/// <summary>An error's members, all of them always there.</summary>
internal sealed record ErrorBody(string Message, string Type, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Code);
