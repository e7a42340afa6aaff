using Spectre.Console;

namespace NativeBigModel.Cli;

/// <summary>The console that tables are drawn on: colours in a terminal, plain text and room enough where the output goes to a file or a pipe.</summary>
internal static class Terminal
{
    private const int PlainWidth = 120;

    public static IAnsiConsole Console { get; } = Create();

    private static IAnsiConsole Create()
    {
        bool plain = System.Console.IsOutputRedirected;
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = plain ? AnsiSupport.No : AnsiSupport.Detect,
            ColorSystem = plain ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
            Out = new AnsiConsoleOutput(System.Console.Out),
        });
        if (plain) console.Profile.Width = PlainWidth;
        return console;
    }
}
