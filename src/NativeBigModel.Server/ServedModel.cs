using System.Collections.Immutable;
using NativeBigModel.Chat;

namespace NativeBigModel.Server;

/// <summary>A model with all that its requests share.</summary>
internal sealed class ServedModel
{
    public ServedModel(BigModel model, ModelServerOptions options)
    {
        (Model, Options) = (model, options);
        Ids = options.ModelIds.IsDefaultOrEmpty ? [Path.GetFileNameWithoutExtension(model.Checkpoint.Path)] : options.ModelIds;
        Template = options.Template ?? ChatTemplate.Find(model.Checkpoint);
        Defaults = options.Defaults ?? new GenerateOptions { MaxNewTokens = model.Plan.ContextLength };
        Places = new(model.Plan.Sessions, options.MaxQueued);
        Passes = new(model);
    }

    public BigModel Model { get; }

    public ModelServerOptions Options { get; }

    /// <summary>The names that it answers to, the one that is listed first.</summary>
    public ImmutableArray<string> Ids { get; }

    /// <summary>How conversations are rendered, or null where there is no way.</summary>
    public ChatTemplate? Template { get; }

    public GenerateOptions Defaults { get; }

    public long Created { get; } = DateTimeOffset.UtcNow.ToUnixTimeSeconds();

    public Places Places { get; }

    public Metrics Metrics { get; } = new();

    public PassMonitor Passes { get; }

    /// <summary>The name that an answer gives: the one that was asked for.</summary>
    /// <exception cref="ApiException">The model has no such name.</exception>
    public string Name(string? asked) => asked is null ? Ids[0] : Ids.Contains(asked) ? asked : throw ApiException.NoSuchModel(asked);
}
