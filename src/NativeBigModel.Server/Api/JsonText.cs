using System.Text.Json;

namespace NativeBigModel.Server;

/// <summary>Texts of members that may be of several types.</summary>
internal static class JsonText
{
    /// <exception cref="ApiException">It is no text, or holds half a character.</exception>
    public static string Of(JsonElement element, string param)
    {
        if (element.ValueKind is not JsonValueKind.String) throw ApiException.BadValue(param, "a text was expected");
        try { return element.GetString()!; }
        catch (InvalidOperationException) { throw ApiException.BadValue(param, "the text holds half a character"); }
    }

    /// <summary>Whether a member is there and says something.</summary>
    public static bool IsGiven(JsonElement element) => element.ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null);
}
