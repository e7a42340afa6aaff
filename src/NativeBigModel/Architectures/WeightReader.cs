using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>A checkpoint's weights as recipes ask for them; it notes which were asked for.</summary>
/// <param name="weights">The weights.</param>
/// <param name="prefix">What precedes every name but the output's, and is missing where the model was saved without its output.</param>
/// <param name="absentType">The type that matrices would have if their data were there.</param>
/// <param name="ofText">Whether the weights are those of a model that has other parts than text.</param>
internal sealed class WeightReader(StoredWeights weights, string prefix, TensorType absentType, bool ofText = false)
{
    private const int MaxRank = 4;

    private readonly HashSet<string> _read = new(StringComparer.Ordinal);
    private readonly HashSet<string> _bare = weights.All.Any(name => name.StartsWith(prefix, StringComparison.Ordinal)) ? [] : [.. weights.All];
    private readonly HashSet<string> _all = ofText ? [.. weights.All] : [];

    /// <summary>The rows of a weight, whose extents must be these, innermost first.</summary>
    /// <exception cref="CheckpointException">It is missing or has another shape.</exception>
    public TensorSource Read(string name, long[] dimensions)
    {
        name = Stored(name);
        if (weights.HasData) _read.Add(name);
        else
        {
            if (!weights.Names(name)) throw new CheckpointException(weights.IndexName, name, "is missing, and the configuration needs it");
            return new AbsentSource(weights.IndexName, dimensions.Length == 1 ? TensorType.F32 : weights.AbsentType(name, dimensions[0]) ?? absentType, Product(dimensions.AsSpan()[1..]), dimensions[0]);
        }
        StoredWeight stored = weights.Find(name) ?? throw new CheckpointException(weights.IndexName, name, "is missing, and the configuration needs it");
        if (!Fits(stored.Shape.AsSpan(), dimensions))
            throw new CheckpointException(weights.FileOf(name), name, $"has shape [{string.Join(", ", stored.Shape)}], and config.json says [{string.Join(", ", dimensions.Reverse())}]");
        return stored.Source;
    }

    /// <summary>Whether the rows of each of a weight's matrices are the other way round than in transformers' parameter.</summary>
    public bool StandsTransposed(string name) => weights.Find(Stored(name)) is { Transposed: true };

    /// <summary>Whether the weights are there, and not only their names.</summary>
    public bool HasData => weights.HasData;

    /// <summary>Whether two matrices of these extents are the same in rows spread over them: what was trained apart differs in every row.</summary>
    public bool AreAlike(string name, string other, long[] dimensions)
    {
        const int Rows = 16;
        using var files = new CheckpointFiles();
        float[][] rows = [new float[dimensions[0]], new float[dimensions[0]]];
        TensorSource[] sources = [.. ((string[])[name, other]).Select(weight => new ComputedSource(Read(weight, dimensions), ComputedSource.Nothing))];
        for (int i = 0; i < Rows; i++)
        {
            long row = (dimensions[1] - 1) * i / (Rows - 1);
            for (int which = 0; which < rows.Length; which++) sources[which].Read(files, row, MemoryMarshal.AsBytes(rows[which].AsSpan()));
            if (!rows[0].AsSpan().SequenceEqual(rows[1])) return false;
        }
        return true;
    }

    /// <summary>The weights that nothing asked for.</summary>
    public IEnumerable<string> Unread() => weights.All.Where(name => !_read.Contains(name)).Select(name => ofText ? TextPart.NameOf(name) : name).OfType<string>();

    /// <summary>The file that holds a weight.</summary>
    public string FileOf(string name) => weights.FileOf(Stored(name));

    private string Stored(string name)
    {
        if (ofText) return TextPart.StoredNames(name).FirstOrDefault(stored => weights.HasData ? _all.Contains(stored) : weights.Names(stored)) ?? name;
        string stored = _bare.Count > 0 && name.StartsWith(prefix, StringComparison.Ordinal) && _bare.Contains(name[prefix.Length..]) ? name[prefix.Length..] : name;
        foreach ((string now, string before) in s_olderNames)
        {
            if (stored.EndsWith(now, StringComparison.Ordinal) && stored[..^now.Length] + before is var older && weights.All.Contains(older)) return older;
        }
        return stored;
    }

    // transformers renames what checkpoints took over from TensorFlow.
    private static readonly (string Now, string Before)[] s_olderNames = [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")];

    // Extents of 1 say nothing, and a stack of matrices may be stored as one.
    private static bool Fits(ReadOnlySpan<long> shape, long[] dimensions)
    {
        if (shape.Length > MaxRank) return false;
        long[] stored = [.. shape.ToArray().Where(extent => extent != 1)], wanted = [.. dimensions.Reverse().Where(extent => extent != 1)];
        return stored.AsSpan().SequenceEqual(wanted)
            || (wanted.Length == 3 && stored.Length == 2 && stored[0] == wanted[0] * wanted[1] && stored[1] == wanted[2]);
    }

    private static long Product(ReadOnlySpan<long> extents)
    {
        long product = 1;
        foreach (long extent in extents) product = checked(product * extent);
        return product;
    }
}
