using System.CommandLine;

namespace NativeBigModel.Cli.Commands;

internal static class DetokenizeCommand
{
    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var ids = new Option<string>("--ids") { Description = "Token ids, such as 1,2,3", HelpName = "1,2,3", Required = true };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("detokenize", "Show the text of token ids") { path, ids, json };
        command.SetGuardedAction((parsed, _) =>
        {
            int[] tokens = CommonOptions.ParseIds("--ids", parsed.GetRequiredValue(ids));
            using Tokenizer tokenizer = Tokenizer.Open(parsed.GetRequiredValue(path));
            string text = tokenizer.Decode(tokens);
            if (parsed.GetValue(json)) Json.Print(new { Text = text });
            else Console.Out.WriteLine(text);
            return Task.CompletedTask;
        });
        return command;
    }
}
