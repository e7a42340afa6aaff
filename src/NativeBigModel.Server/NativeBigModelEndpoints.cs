using Microsoft.AspNetCore.Routing;
using NativeBigModel;
using NativeBigModel.Server;

namespace Microsoft.AspNetCore.Builder;

/// <summary>A model as endpoints of an application.</summary>
public static class NativeBigModelEndpoints
{
    /// <summary>
    /// Maps OpenAI's <c>/v1/chat/completions</c>, <c>/v1/completions</c>, <c>/v1/embeddings</c> and <c>/v1/models</c>, and <c>/health</c>, <c>/metrics</c>, <c>/v1/plan</c>, <c>/v1/live</c> and a page
    /// at <c>/</c>. The model stays the caller's: dispose of it after the application has stopped.
    /// </summary>
    /// <param name="endpoints">The application, or a group of its routes.</param>
    /// <param name="model">The model.</param>
    /// <param name="options">How it is served; null for the defaults.</param>
    /// <returns>All of the endpoints, for conventions.</returns>
    /// <exception cref="InvalidOptionException">An option is out of range.</exception>
    public static IEndpointConventionBuilder MapNativeBigModel(this IEndpointRouteBuilder endpoints, BigModel model, ModelServerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        options.Validate();
        ServedModel served = new(model, options);
        Gate gate = new(options, served.Metrics);
        ModelPages pages = new(served);
        RouteGroupBuilder group = endpoints.MapGroup("");
        group.MapPost("/v1/chat/completions", gate.Guard("chat", new ChatCompletions(served).HandleAsync));
        group.MapPost("/v1/completions", gate.Guard("completions", new TextCompletions(served).HandleAsync));
        group.MapPost("/v1/embeddings", gate.Guard("embeddings", new Embeddings(served).HandleAsync));
        group.MapGet("/v1/models", gate.Guard("models", pages.ListAsync));
        group.MapGet("/v1/models/{**id}", gate.Guard("models", pages.DescribeAsync));
        group.MapGet("/v1/plan", gate.Guard("plan", pages.PlanAsync));
        group.MapGet("/v1/live", gate.Guard("live", pages.LiveAsync));
        group.MapGet("/metrics", gate.Guard("metrics", pages.MetricsAsync));
        group.MapGet("/health", gate.Guard("health", ModelPages.HealthAsync, open: true));
        group.MapGet("/", gate.Guard("page", ModelPages.PageAsync, open: true));
        return group;
    }
}
