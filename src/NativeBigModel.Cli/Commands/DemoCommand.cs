using System.CommandLine;
using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

internal static class DemoCommand
{
    private const string ModelFolder = "samples/capitals-llama";
    private const long Budget = 16 << 20;

    private static readonly string[] s_prompts =
    [
        "What is the capital of United States?",
        "What is the capital of Japan?",
        "Alice and Bob",
    ];

    public static Command Create()
    {
        var command = new Command("demo", "Run the bundled model under a memory budget: show its plan, answer three prompts");
        command.SetGuardedAction(async (_, cancel) =>
        {
            string path = Path.Combine(AppContext.BaseDirectory, ModelFolder);
            IAnsiConsole console = Terminal.Console;
            var options = new PlanOptions { MaxMemory = new MemoryLimits { Host = Budget } };
            console.MarkupLineInterpolated($"[grey]{ModelFolder}, with at most {ByteSize.Format(Budget)} of memory:[/]");
            await using BigModel model = await BigModel.LoadAsync(path, options, null, cancel).ConfigureAwait(false);
            PlanTable.Print(model.Plan, model.Checkpoint.Describe(options.WeightType), console);
            foreach (string prompt in s_prompts)
            {
                console.MarkupInterpolated($"\n[grey]>[/] [bold]{prompt}[/]");
                await foreach (GenerationStep step in model.GenerateAsync(prompt, new GenerateOptions { Temperature = 0, MaxNewTokens = 48 }, cancel).ConfigureAwait(false))
                    console.Write(step.Text);
                console.WriteLine();
            }
        });
        return command;
    }
}
