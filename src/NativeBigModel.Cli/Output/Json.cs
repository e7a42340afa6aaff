using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace NativeBigModel.Cli;

/// <summary>The tool's JSON: snake_case, to stdout.</summary>
internal static class Json
{
    private static readonly JsonSerializerOptions s_options = Options(indented: true);

    private static readonly JsonSerializerOptions s_line = Options(indented: false);

    public static void Print(object value) => Console.Out.WriteLine(Text(value));

    public static void PrintLine(object value) => Console.Out.WriteLine(JsonSerializer.Serialize(value, s_line));

    public static string Text(object value) => JsonSerializer.Serialize(value, s_options);

    private static JsonSerializerOptions Options(bool indented) => new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DictionaryKeyPolicy = null,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = indented,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };
}
