using System.Text.Encodings.Web;
using System.Text.Json;

namespace NativeBigModel.Cli;

/// <summary>The tool's JSON: snake_case, one object to stdout.</summary>
internal static class Json
{
    private static readonly JsonSerializerOptions s_options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DictionaryKeyPolicy = null,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
    };

    public static void Print(object value) => Console.Out.WriteLine(JsonSerializer.Serialize(value, s_options));
}
