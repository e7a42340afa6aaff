using System.CommandLine;

namespace NativeBigModel.Cli;

/// <summary>Turns an error into one line on stderr, an object on stdout where JSON is asked for, and an exit code.</summary>
internal static class Failures
{
    /// <summary>Makes <paramref name="work"/> the command's action; whatever it throws is reported.</summary>
    public static void SetGuardedAction(this Command command, Func<ParseResult, CancellationToken, Task> work) => command.SetGuardedAction(async (parsed, cancel) =>
    {
        await work(parsed, cancel).ConfigureAwait(false);
        return ExitCode.Success;
    });

    /// <summary>Makes <paramref name="work"/>, which gives an exit code, the command's action; whatever it throws is reported.</summary>
    public static void SetGuardedAction(this Command command, Func<ParseResult, CancellationToken, Task<int>> work) => command.SetAction(async (parsed, cancel) =>
    {
        bool json = CommonOptions.WantsJson(parsed);
        try { return await work(parsed, cancel).ConfigureAwait(false); }
        catch (OperationCanceledException) { return Report("cancelled", "cancelled", ExitCode.Cancelled, json); }
        catch (InvalidOptionException error) { return Report(error.Message, "usage", ExitCode.Usage, json); }
        catch (CheckpointException error) { return Report(error.Message, "bad_input", ExitCode.BadInput, json); }
        catch (ChatTemplateException error) { return Report(error.Message, "chat_template", ExitCode.BadInput, json); }
        catch (Exception error) when (error is SessionFileException or ContextFullException) { return Report(error.Message, "bad_input", ExitCode.BadInput, json); }
        catch (UnsupportedModelException error) { return Report(error.Message, "unsupported", ExitCode.BadInput, json); }
        catch (DoesNotFitException error) { return Report(error.Message, "does_not_fit", ExitCode.DoesNotFit, json); }
        catch (EngineException error) { return Report(error.Message, "engine", ExitCode.EngineFailure, json); }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { return Report(error.Message, "bad_input", ExitCode.BadInput, json); }
    });

    public static int Report(string message, string kind, int exitCode, bool json)
    {
        string line = message.ReplaceLineEndings(" ");
        Console.Error.WriteLine($"error: {line}");
        if (json) Json.PrintLine(new { Error = new { Kind = kind, Message = line, ExitCode = exitCode } });
        return exitCode;
    }
}
