using System.Text.RegularExpressions;

namespace NativeBigModel;

/// <summary>A type for the weights whose names match a pattern, in place of the mixture's.</summary>
public sealed class TypeOverride
{
    // What makes no sense for a weight, or only inside the engine.
    private static readonly TensorType[] s_others = [TensorType.I8, TensorType.I16, TensorType.I32, TensorType.I64, TensorType.F64, TensorType.Q8_1, TensorType.Q8_K];

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private readonly Regex _regex;

    /// <param name="pattern">A regular expression, found anywhere in the GGUF name, such as <c>ffn_down</c> or <c>^blk\.[0-3]\.</c>.</param>
    /// <param name="type">The type; a weight whose rows are no whole blocks of it gets the nearest that fits.</param>
    /// <exception cref="InvalidOptionException">The pattern is malformed, or no weight can have the type.</exception>
    public TypeOverride(string pattern, TensorType type)
    {
        ArgumentException.ThrowIfNullOrEmpty(pattern);
        if (s_others.Contains(type) || !TensorTypes.IsKnown(type)) throw new InvalidOptionException($"{type}: no weight can have this type");
        try { _regex = new(pattern, RegexOptions.CultureInvariant, s_patience); }
        catch (ArgumentException error) { throw new InvalidOptionException($"'{pattern}' is not a regular expression: {error.Message}"); }
        (Pattern, Type) = (pattern, type);
    }

    /// <summary>The regular expression.</summary>
    public string Pattern { get; }

    /// <summary>The type of the weights that it matches.</summary>
    public TensorType Type { get; }

    /// <summary>Reads <c>PATTERN=TYPE</c>.</summary>
    /// <exception cref="InvalidOptionException">The text is something else.</exception>
    public static TypeOverride Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int at = text.LastIndexOf('=');
        if (at < 1) throw new InvalidOptionException($"'{text}' is not PATTERN=TYPE, such as ffn_down=q6_k");
        string name = text[(at + 1)..];
        foreach (TensorType type in Enum.GetValues<TensorType>().Except(s_others))
        {
            if (type.ToString().Equals(name, StringComparison.OrdinalIgnoreCase)) return new(text[..at], type);
        }
        throw new InvalidOptionException($"'{name}' is not a tensor type; there are {string.Join(", ", Enum.GetValues<TensorType>().Except(s_others))}");
    }

    internal bool Matches(string name)
    {
        try { return _regex.IsMatch(name); }
        catch (RegexMatchTimeoutException) { throw new InvalidOptionException($"'{Pattern}' takes more than {s_patience.TotalSeconds:0} s to match {name}"); }
    }
}
