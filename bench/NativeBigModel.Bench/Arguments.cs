namespace NativeBigModel.Bench;

/// <summary>Options of the form --name value.</summary>
internal sealed class Arguments(string[] given)
{
    public bool Has(string name) => given.Contains(name);

    public string Text(string name, string otherwise) => Array.IndexOf(given, name) is >= 0 and var at && at + 1 < given.Length ? given[at + 1] : otherwise;

    public int Number(string name, int otherwise) => int.Parse(Text(name, $"{otherwise}"));
}
