using System.Text.RegularExpressions;

namespace NativeBigModel.Planning;

/// <summary>
/// The part of a layer that a hybrid plan may give to the CPU: the products of its feed-forward network, or of its routed experts. It is most of a layer's
/// bytes, needs no keys and values, and one vector goes in and one comes out.
/// </summary>
internal static partial class FeedForwardPart
{
    /// <summary>llama.cpp's names behind <c>blk.N.</c>, as a regular expression.</summary>
    public const string Names = "ffn_(gate|up|down|gate_up)(_exps)?\\.";

    /// <summary>The name of a layer's part in a plan.</summary>
    public static string Of(int layer) => $"blk.{layer}.ffn";

    /// <summary>Whether it is such a name.</summary>
    public static bool Is(string name) => name.StartsWith("blk.", StringComparison.Ordinal) && name.EndsWith(".ffn", StringComparison.Ordinal);

    /// <summary>The layer of such a name, or null where it names something else.</summary>
    public static string? LayerOf(string name) => Is(name) ? name[..^".ffn".Length] : null;

    /// <summary>Whether the CPU computes it where it rests, so that only long prompts stream it.</summary>
    public static bool IsShared(LayerPlacement part) => part is { ComputeDevice: DeviceName.Host, Streamed: false, IsFeedForward: true };

    /// <summary>What a matrix and its bias have in common, which travel together: their name before the last dot.</summary>
    public static string MatrixOf(TensorSpec tensor) => tensor.Name.LastIndexOf('.') is >= 0 and int dot ? tensor.Name[..dot] : tensor.Name;

    public static bool Holds(TensorSpec tensor) => Tensor().IsMatch(tensor.Name);

    /// <summary>Whether it is a tensor of routed experts in such a part.</summary>
    public static bool HoldsExperts(TensorSpec tensor) => IsOfExperts(tensor) && Holds(tensor);

    /// <summary>Whether it is stacked, a matrix or a row for each routed expert.</summary>
    public static bool IsOfExperts(TensorSpec tensor) => tensor.Name.Contains("_exps.", StringComparison.Ordinal);

    [GeneratedRegex("^(enc\\.|dec\\.)?blk\\.[0-9]+\\." + Names)]
    private static partial Regex Tensor();
}
