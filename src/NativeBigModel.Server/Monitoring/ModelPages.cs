using System.Net.Mime;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using NativeBigModel.Planning;

namespace NativeBigModel.Server;

/// <summary>Where a model is: what /v1/plan tells, and whether it has a chat template.</summary>
internal sealed record PlanBody(
    string Model, string Type, int ContextLength, int Sessions, string KvType, double RingLayers, long WeightBytes, long KvBytes, IReadOnlyList<DeviceBody> Devices, IReadOnlyList<LayerBody> Layers,
    PredictedBody? Predicted, IReadOnlyList<string> Notes, bool Chat);

internal sealed record DeviceBody(string Name, long Weights, long Kv, long Ring, long Staging, long Compute, long Total, long? Limit);

internal sealed record LayerBody(string Name, long Bytes, long Kv, string Device, string Compute, bool Streamed);

internal sealed record PredictedBody(bool Measured, double DecodeSeconds, double PrefillSeconds, int PromptTokens);

/// <summary>What goes on now: what /v1/live tells.</summary>
internal sealed record LiveBody(int Active, int Queued, int Sessions, double TokensPerSecond, PassReport? Pass);

/// <summary>The endpoints that tell of the model.</summary>
internal sealed class ModelPages(ServedModel served)
{
    private static readonly Lazy<(byte[] Html, string Policy)> s_page = new(ReadPage);

    private readonly PlanBody _plan = Describe(served.Model.Plan) with { Chat = served.Template is not null };

    public Task ListAsync(HttpContext http) => JsonBody.WriteAsync(http.Response, new ModelListBody("list", [.. served.Ids.Select(Describe)]), ApiJson.Relaxed.ModelListBody);

    public Task DescribeAsync(HttpContext http) => JsonBody.WriteAsync(http.Response, Describe(served.Name(http.Request.RouteValues["id"] as string ?? "")), ApiJson.Relaxed.ModelBody);

    public Task PlanAsync(HttpContext http) => JsonBody.WriteAsync(http.Response, _plan, ApiJson.Relaxed.PlanBody);

    public Task LiveAsync(HttpContext http)
    {
        http.Response.Headers.CacheControl = "no-store";
        return JsonBody.WriteAsync(http.Response, new LiveBody(served.Places.Active, served.Places.Queued, served.Model.Plan.Sessions, served.Metrics.TokensPerSecond, served.Passes.Last), ApiJson.Relaxed.LiveBody);
    }

    public Task MetricsAsync(HttpContext http)
    {
        http.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        return http.Response.WriteAsync(served.Metrics.Write(served));
    }

    public static Task HealthAsync(HttpContext http) => JsonBody.WriteAsync(http.Response, new HealthBody("ok"), ApiJson.Relaxed.HealthBody);

    public static Task PageAsync(HttpContext http)
    {
        http.Response.Headers.ContentSecurityPolicy = s_page.Value.Policy;
        http.Response.Headers.XContentTypeOptions = "nosniff";
        http.Response.Headers["Referrer-Policy"] = "no-referrer";
        http.Response.ContentType = $"{MediaTypeNames.Text.Html}; charset=utf-8";
        http.Response.ContentLength = s_page.Value.Html.Length;
        return http.Response.Body.WriteAsync(s_page.Value.Html).AsTask();
    }

    private ModelBody Describe(string id) => new(id, "model", served.Created, "nativebigmodel", served.Model.Plan.ContextLength);

    private static PlanBody Describe(Plan plan) => new(
        plan.Model, plan.WeightType == WeightType.AsStored ? "as stored" : plan.WeightType.ToString(), plan.ContextLength, plan.Sessions, plan.KvType.ToString(), plan.RingLayers, plan.WeightBytes, plan.KvBytes,
        [.. plan.Devices.Select(static device => new DeviceBody(device.Name, device.WeightBytes, device.KvBytes, device.RingBytes, device.StagingBytes, device.ComputeBytes, device.TotalBytes, device.LimitBytes))],
        [.. plan.Layers.Select(static layer => new LayerBody(layer.Name, layer.WeightBytes, layer.KvBytes, layer.Device, layer.ComputeDevice, layer.Streamed))],
        plan.Predicted is { } predicted ? new(predicted.Measured, predicted.DecodeSeconds, predicted.PrefillSeconds, predicted.PromptTokens) : null, plan.Notes, Chat: true);

    // The one script and the one style that may run are the page's own.
    private static (byte[], string) ReadPage()
    {
        using StreamReader reader = new(typeof(ModelPages).Assembly.GetManifestResourceStream("index.html")!);
        string page = reader.ReadToEnd().ReplaceLineEndings("\n");
        string Hash(string tag)
        {
            int begin = page.IndexOf($"<{tag}>", StringComparison.Ordinal) + tag.Length + 2;
            return Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(page[begin..page.IndexOf($"</{tag}>", begin, StringComparison.Ordinal)])));
        }
        return (Encoding.UTF8.GetBytes(page), $"default-src 'none'; script-src 'sha256-{Hash("script")}'; style-src 'sha256-{Hash("style")}'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    }
}
