using System.Text.Json;
using System.Text.Json.Serialization;

namespace NativeBigModel.Planning;

/// <summary>A plan in a file. The version grows when a reader of the present one would misread it.</summary>
internal sealed record PlanDocument(string Format, int Version, Plan Plan)
{
    private const string Name = "nbm-plan";
    private const int Current = 4;

    public static string Write(Plan plan) => JsonSerializer.Serialize(new PlanDocument(Name, Current, plan), PlanDocumentJson.Default.PlanDocument);

    /// <exception cref="InvalidOptionException">The text is no plan, or one of another version.</exception>
    public static Plan Read(string json)
    {
        try
        {
            using (JsonDocument head = JsonDocument.Parse(json))
            {
                if (head.RootElement.ValueKind != JsonValueKind.Object || !head.RootElement.TryGetProperty("format", out JsonElement format) || format.ToString() != Name)
                    throw new InvalidOptionException($"plan: not a plan file: its format is not '{Name}'");
                if (!head.RootElement.TryGetProperty("version", out JsonElement version) || version.ToString() != $"{Current}")
                    throw new InvalidOptionException($"plan: version {version} and this library reads version {Current}");
            }
            Plan plan = JsonSerializer.Deserialize(json, PlanDocumentJson.Default.PlanDocument)!.Plan;
            return plan.Layers.IsEmpty || plan.Layers.Contains(null!) || plan.Devices.Contains(null!) || plan.Notes.Contains(null!)
                ? throw new InvalidOptionException("plan: an entry of layers, devices or notes is null, or there are no layers")
                : plan;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new InvalidOptionException($"plan: not a plan file: {error.Message}");
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true, UseStringEnumConverter = true, IgnoreReadOnlyProperties = true,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(PlanDocument))]
internal sealed partial class PlanDocumentJson : JsonSerializerContext;
