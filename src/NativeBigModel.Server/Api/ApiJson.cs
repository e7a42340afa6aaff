using System.Text.Encodings.Web;
using System.Text.Json.Serialization;

namespace NativeBigModel.Server;

/// <summary>How everything is written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ChatRequestBody))]
[JsonSerializable(typeof(TextRequest))]
[JsonSerializable(typeof(ChatDocument))]
[JsonSerializable(typeof(TextDocument))]
[JsonSerializable(typeof(EmbeddingRequest))]
[JsonSerializable(typeof(EmbeddingDocument))]
[JsonSerializable(typeof(float[]))]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(ModelListBody))]
[JsonSerializable(typeof(HealthBody))]
[JsonSerializable(typeof(ErrorDocument))]
[JsonSerializable(typeof(PlanBody))]
[JsonSerializable(typeof(LiveBody))]
internal sealed partial class ApiJson : JsonSerializerContext
{
    /// <summary>The same with text as it is: it is never part of a page.</summary>
    public static ApiJson Relaxed => field ??= new(new(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
