using System.CommandLine;
using System.Text.Json;

namespace NativeBigModel.Cli.Commands;

internal static class TokenizeCommand
{
    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var text = new Option<string?>("--text") { Description = "The text" };
        var file = new Option<string?>("--file") { Description = "A UTF-8 file with the text", HelpName = "F" };
        var jsonFile = new Option<string?>("--json-file") { Description = "A JSON array of texts; gives an array of arrays", HelpName = "F" };
        var noSpecial = new Option<bool>("--no-special") { Description = "Do not add BOS, EOS and the like" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("tokenize", "Show the token ids of a text") { path, text, file, jsonFile, noSpecial, json };
        command.SetGuardedAction((parsed, _) =>
        {
            string?[] sources = [parsed.GetValue(text), parsed.GetValue(file), parsed.GetValue(jsonFile)];
            if (sources.Count(source => source is not null) != 1) throw new InvalidOptionException("give exactly one of --text, --file and --json-file");
            bool addSpecial = !parsed.GetValue(noSpecial);
            using Tokenizer tokenizer = Tokenizer.Open(parsed.GetRequiredValue(path));
            if (sources[2] is { } list)
            {
                int[][] ids = [.. Texts(list).Select(one => tokenizer.Encode(one, addSpecial))];
                if (parsed.GetValue(json)) Json.Print(new { Ids = ids });
                else foreach (int[] line in ids) Console.Out.WriteLine(string.Join(',', line));
            }
            else
            {
                int[] ids = tokenizer.Encode(sources[0] ?? File.ReadAllText(sources[1]!), addSpecial);
                if (parsed.GetValue(json)) Json.Print(new { Ids = ids });
                else Console.Out.WriteLine(string.Join(',', ids));
            }
            return Task.CompletedTask;
        });
        return command;
    }

    private static string[] Texts(string file)
    {
        try { return JsonSerializer.Deserialize<string[]>(File.ReadAllBytes(file)) ?? []; }
        catch (JsonException error) { throw new CheckpointException(Path.GetFileName(file), $"line {error.LineNumber + 1}", "is not a JSON array of texts", error); }
    }
}
