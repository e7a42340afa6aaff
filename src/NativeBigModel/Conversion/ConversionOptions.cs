using System.Collections.Immutable;

namespace NativeBigModel;

/// <summary>How to write a GGUF file.</summary>
public sealed record ConversionOptions
{
    /// <summary>How to store the weights.</summary>
    public WeightType Type { get; init; }

    /// <summary>Types of single weights, which go before those of <see cref="Type"/>; of several patterns that match, the first decides.</summary>
    public ImmutableArray<TypeOverride> TypeOverrides { get; init; } = [];

    /// <summary>What the quantiser shall preserve; null where each weight counts the same. The smallest types need one.</summary>
    public ImportanceMatrix? Importance { get; init; }

    /// <summary>Keys of the file's header to set, each as <c>KEY=VALUE</c> or, where the type is not plain, <c>KEY=int:VALUE</c> (float, bool, str).</summary>
    public ImmutableArray<string> Metadata { get; init; } = [];

    /// <summary>Bytes that one file may have; null for one file. A tensor is never divided.</summary>
    public long? MaxFileBytes { get; init; }
}
