using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;
using System.Text;
using NativeBigModel.Cli;
using NativeBigModel.Cli.Commands;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

var root = new RootCommand("Runs language models larger than the GPU: from a Hugging Face folder or a GGUF file, under the memory that you allow.")
{
    DemoCommand.Create(),
    DoctorCommand.Create(),
    InspectCommand.Create(),
    PlanCommand.Create(),
    ConvertCommand.Create(),
    RunCommand.Create(),
    ChatCommand.Create(),
    ServeCommand.Create(),
    BenchCommand.Create(),
    TokenizeCommand.Create(),
    DetokenizeCommand.Create(),
    TemplateCommand.Create(),
    LogitsCommand.Create(),
    EmbedCommand.Create(),
};

ParseResult parsed = root.Parse(args);
if (parsed.Action is ParseErrorAction)
    return Failures.Report(string.Join(" ", parsed.Errors.Select(error => error.Message)), "usage", ExitCode.Usage, args.Contains("--json"));
// A chat handles Ctrl-C itself: it stops an answer, and not the program.
TimeSpan? patience = parsed.CommandResult.Command.Name == ChatCommand.Name ? null : TimeSpan.FromSeconds(10);
return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = patience }).ConfigureAwait(false);
