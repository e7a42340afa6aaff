namespace NativeBigModel.Bench;

/// <summary>Options of the form --name value.</summary>
internal sealed class Arguments(string[] given)
{
    /// <exception cref="InvalidOptionException">There is another option than these.</exception>
    public Arguments Only(params string[] names) => given.FirstOrDefault(one => one.StartsWith("--", StringComparison.Ordinal) && !names.Contains(one)) is { } unknown
        ? throw new InvalidOptionException($"there is no option {unknown}; there are {string.Join(", ", names)}")
        : this;

    public bool Has(string name) => given.Contains(name);

    public string Text(string name, string otherwise) => Array.IndexOf(given, name) is >= 0 and var at && at + 1 < given.Length ? given[at + 1] : otherwise;

    public int Number(string name, int otherwise) => int.Parse(Text(name, $"{otherwise}"));

    public string[] List(string name, string otherwise) => Text(name, otherwise).Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
