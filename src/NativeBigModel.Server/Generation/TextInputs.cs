using System.Text.Json;

namespace NativeBigModel.Server;

/// <summary>Texts of a request as OpenAI's API takes them: a text, an array of texts, an array of tokens, or an array of those.</summary>
internal static class TextInputs
{
    /// <summary>The inputs of a member, each a text or an array of tokens.</summary>
    /// <exception cref="ApiException">It is something else.</exception>
    public static JsonElement[] Split(JsonElement given, string param) => given.ValueKind switch
    {
        JsonValueKind.String => [given],
        JsonValueKind.Array when given.GetArrayLength() > 0 => given[0].ValueKind is JsonValueKind.Number ? [given] : [.. given.EnumerateArray()],
        _ => throw ApiException.BadValue(param, "a text, an array of texts, or arrays of tokens were expected"),
    };

    /// <summary>The tokens of one input.</summary>
    /// <exception cref="ApiException">It is neither a text nor an array of whole numbers.</exception>
    public static int[] Tokens(JsonElement input, string param, Tokenizer tokenizer) =>
        input.ValueKind is JsonValueKind.Array ? [.. input.EnumerateArray().Select(token => Token(token, param))] : tokenizer.Encode(JsonText.Of(input, param));

    private static int Token(JsonElement token, string param) => token.ValueKind is JsonValueKind.Number && token.TryGetInt32(out int id) ? id : throw ApiException.BadValue(param, "a token is a whole number");
}
