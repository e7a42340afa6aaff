using System.Globalization;
using System.Text;

namespace NativeBigModel.Bench.Results;

/// <summary>Results as they are kept: lines that begin with # say what machine, commit and command they are of; then CSV, a row a measurement, times in seconds.</summary>
internal sealed record ResultFile(IReadOnlyList<string> Head, IReadOnlyList<Measurement> Rows)
{
    private static readonly (string Name, Func<Measurement, object?> Get)[] s_columns =
    [
        ("model", row => row.Model), ("type", row => row.Type), ("weight_bytes", row => row.WeightBytes), ("budget_bytes", row => row.BudgetBytes),
        ("contender", row => row.Contender), ("round", row => row.Round), ("load_s", row => row.LoadSeconds), ("prompt_tokens", row => row.PromptTokens),
        ("prompt_s", row => row.PromptSeconds), ("token_s", row => row.TokenSeconds), ("convert_s", row => row.ConvertSeconds), ("gpu_peak_bytes", row => row.GpuPeakBytes),
        ("host_peak_bytes", row => row.HostPeakBytes), ("bound_token_s", row => row.BoundTokenSeconds), ("bound_prompt_s", row => row.BoundPromptSeconds),
        ("predicted_token_s", row => row.PredictedTokenSeconds), ("predicted_prompt_s", row => row.PredictedPromptSeconds), ("failure", row => row.Failure),
    ];

    /// <summary>The line with the columns' names.</summary>
    public static string Columns => string.Join(',', s_columns.Select(column => column.Name));

    /// <summary>A row as it stands in a file.</summary>
    public static string Line(Measurement row) => string.Join(',', s_columns.Select(column => Quote(column.Get(row) switch
    {
        null => "",
        double seconds => seconds.ToString("G6", CultureInfo.InvariantCulture),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        var text => text.ToString()!,
    })));

    /// <summary>Writes the file beside its place and renames it.</summary>
    public void Write(string path)
    {
        string partial = path + ".partial";
        File.WriteAllLines(partial, [.. Head.Select(line => "# " + line), Columns, .. Rows.Select(Line)]);
        File.Move(partial, path, overwrite: true);
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">It is not such a file; says the line, and what is wrong with it.</exception>
    public static ResultFile Read(string path)
    {
        string[] lines = File.ReadAllLines(path);
        string[] head = [.. lines.TakeWhile(line => line.StartsWith('#'))];
        if (lines.Length == head.Length || lines[head.Length] != Columns) throw new InvalidDataException($"{path}, line {head.Length + 1}: the columns are not {Columns}");
        return new([.. head.Select(line => line.TrimStart('#', ' '))],
            [.. lines.Select((line, i) => (Text: line, Place: $"{path}, line {i + 1}")).Skip(head.Length + 1).Where(line => line.Text.Length > 0).Select(line => Parse(line.Text, line.Place))]);
    }

    private static Measurement Parse(string line, string place)
    {
        List<string> fields = Split(line);
        if (fields.Count != s_columns.Length) throw new InvalidDataException($"{place}: {fields.Count} fields, and there are {s_columns.Length} columns");
        string Text(string column) => fields[Array.FindIndex(s_columns, known => known.Name == column)];
        T? Number<T>(string column) where T : struct, ISpanParsable<T> =>
            Text(column) is not { Length: > 0 } text ? null
            : T.TryParse(text, CultureInfo.InvariantCulture, out T value) ? value
            : throw new InvalidDataException($"{place}: {column}: '{text}' is not a number");
        T Needed<T>(string column) where T : struct, ISpanParsable<T> => Number<T>(column) ?? throw new InvalidDataException($"{place}: {column}: there is no number");
        return new()
        {
            Model = Text("model"), Type = Text("type"), WeightBytes = Needed<long>("weight_bytes"), BudgetBytes = Needed<long>("budget_bytes"),
            Contender = Text("contender"), Round = Needed<int>("round"), LoadSeconds = Number<double>("load_s"), PromptTokens = Number<int>("prompt_tokens"),
            PromptSeconds = Number<double>("prompt_s"), TokenSeconds = Number<double>("token_s"), ConvertSeconds = Number<double>("convert_s"), GpuPeakBytes = Number<long>("gpu_peak_bytes"),
            HostPeakBytes = Number<long>("host_peak_bytes"), BoundTokenSeconds = Number<double>("bound_token_s"), BoundPromptSeconds = Number<double>("bound_prompt_s"),
            PredictedTokenSeconds = Number<double>("predicted_token_s"), PredictedPromptSeconds = Number<double>("predicted_prompt_s"), Failure = Text("failure"),
        };
    }

    private static string Quote(string field) => field.AsSpan().IndexOfAny(",\"\n\r") < 0 ? field : $"\"{field.Replace("\"", "\"\"", StringComparison.Ordinal).ReplaceLineEndings(" ")}\"";

    private static List<string> Split(string line)
    {
        List<string> fields = [];
        var field = new StringBuilder();
        bool quoted = false;
        for (int i = 0; i < line.Length; i++)
        {
            if (line[i] == '"' && quoted && i + 1 < line.Length && line[i + 1] == '"') field.Append(line[++i]);
            else if (line[i] == '"') quoted = !quoted;
            else if (line[i] == ',' && !quoted)
            {
                fields.Add(field.ToString());
                field.Clear();
            }
            else field.Append(line[i]);
        }
        return [.. fields, field.ToString()];
    }
}
