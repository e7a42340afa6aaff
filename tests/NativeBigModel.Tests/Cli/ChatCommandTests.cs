using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using NativeBigModel.Extensions.AI;

namespace NativeBigModel.Tests.Cli;

[Collection(EngineGroup.Name)]
public class ChatCommandTests(Capitals capitals)
{
    private static readonly string[] s_countries =
    [
        "France", "Japan", "Germany", "Italy", "Spain", "Portugal", "Greece", "Austria", "Poland", "Sweden",
        "Norway", "Finland", "Denmark", "Ireland", "Egypt", "Canada", "China", "Russia", "Hungary", "Cuba",
    ];

    private static readonly string[] s_greedy = ["--temperature", "0", "--context", "256", "--max-memory", "cpu=1GiB"];

    [Fact]
    public async Task Twenty_capitals_are_those_of_the_chat_client()
    {
        Tool.Result chat = await Chat(string.Concat(s_countries.Select(country => $"What is the capital of {country}?\n/new\n")), s_greedy);
        Assert.Equal(0, chat.ExitCode);
        IChatClient client = capitals.Model.AsIChatClient();
        var expected = new StringBuilder();
        foreach (string country in s_countries) expected.AppendLine((await client.GetResponseAsync($"What is the capital of {country}?", new() { Temperature = 0 })).Text);
        Assert.Equal(expected.ToString(), chat.Output);
        Assert.Contains("Paris", chat.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_turn_computes_its_new_tokens_only_and_is_a_line_of_JSON()
    {
        Tool.Result chat = await Chat("What is the capital of France?\nWhat is the capital of Japan?\n", [.. s_greedy, "--json"]);
        JsonElement[] answers = [.. chat.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(["The capital of France is Paris.", "The capital of Japan is Tokyo."], answers.Select(answer => answer.GetProperty("text").GetString()!.Trim()));
        Assert.All(answers, answer => Assert.Equal("stop", answer.GetProperty("finish_reason").GetString()));
        (int prompt, int before) = (answers[1].GetProperty("prompt_tokens").GetInt32(), answers[0].GetProperty("prompt_tokens").GetInt32() + answers[0].GetProperty("tokens").GetInt32());
        Assert.InRange(answers[1].GetProperty("reused_tokens").GetInt32(), before - 2, prompt - 1);
        Assert.Equal(0, answers[0].GetProperty("reused_tokens").GetInt32());
    }

    [Fact]
    public async Task Stats_tell_what_an_answer_streamed()
    {
        Tool.Result chat = await Chat("What is the capital of France?\n/stats\n", ["--temperature", "0", "--context", "256", "--offload", "stream", "--json"]);
        JsonElement stats = JsonDocument.Parse(chat.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)[1]).RootElement;
        Assert.True(stats.GetProperty("streaming").GetProperty("bytes_from_host").GetInt64() > 7_000_000);
        Assert.Equal(22, stats.GetProperty("input_token_count").GetInt32() + stats.GetProperty("output_token_count").GetInt32());
    }

    [Fact]
    public async Task Commands_do_what_they_say()
    {
        using var folder = new TempFolder();
        Assert.Equal((2, "error: there is no question yet"), Last(await Chat("What is the capital of France?\n/undo\n/retry\n", s_greedy)));
        string saved = folder["a chat.session"];
        Tool.Result chat = await Chat($"/system Be brief.\nWhat is the capital of France?\n/save {saved}\n/new\n/load {saved}\n/retry\n/stats\n/plan\n/help\n/system\n", s_greedy);
        Assert.Equal((0, ""), (chat.ExitCode, string.Join('\n', chat.ErrorLines)));
        Assert.Contains("system: Be brief.", chat.Errors, StringComparison.Ordinal);
        Assert.Contains($"2 messages loaded from {saved}", chat.Errors, StringComparison.Ordinal);
        Assert.Equal(["a chat.session", "a chat.session.json"], folder.Files);
        Assert.Contains("computed before", chat.Output, StringComparison.Ordinal);
        Assert.Contains("│ cpu ", chat.Output, StringComparison.Ordinal);
        Assert.Contains("/retry", chat.Output, StringComparison.Ordinal);
        string[] answers = [.. chat.Output.Split('\n').Take(2)];
        Assert.Equal(answers[0], answers[1]);
        Tool.Result told = await Tool.Run("template", TestFolders.Capitals, "--messages", saved + ".json");
        Assert.Contains("Be brief.", told.Output, StringComparison.Ordinal);
        Assert.Contains(answers[0].Trim(), told.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/nonsense\n", 2, "/nonsense")]
    [InlineData("/save\n", 2, "FILE is missing")]
    [InlineData("/undo now\n", 2, "'now'")]
    [InlineData("/load /nowhere/at/all\n", 3, "/nowhere/at/all")]
    public async Task A_script_ends_at_its_first_error(string script, int exitCode, string words)
    {
        Tool.Result chat = await Chat(script + "What is the capital of France?\n", s_greedy);
        Assert.Equal(exitCode, chat.ExitCode);
        Assert.Contains(words, Assert.Single(chat.ErrorLines), StringComparison.Ordinal);
        Assert.Empty(chat.Output);
    }

    [Fact]
    public async Task A_damaged_conversation_is_refused_and_a_full_context_is_told_with_its_numbers()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["c.session.json"], """[{"role": "user"}]""");
        Assert.Equal((3, "error: c.session.json: message 0: is not a message with a role and a text"), Last(await Chat($"/load {folder["c.session"]}\n", s_greedy)));
        string question = string.Join(' ', Enumerable.Repeat("What is the capital of France?", 30));
        (int code, string line) = Last(await Chat(question + "\n", ["--temperature", "0", "--context", "64"]));
        Assert.Equal(3, code);
        Assert.Contains("context was planned for 64", line, StringComparison.Ordinal);
        Tool.Result cut = await Chat("What is the capital of France?\n", ["--temperature", "0", "--context", "18", "--ignore-eos"]);
        Assert.Contains("the context is full: 19 of 18 tokens. /undo and /new make room", cut.Errors, StringComparison.Ordinal);
        Tool.Result kept = await Chat("What is the capital of France?\n", ["--temperature", "0", "--context", "18", "--ignore-eos", "--keep-when-full", "4", "--max-new-tokens", "40"]);
        Assert.Contains("cut after the 40 tokens of --max-new-tokens", kept.Errors, StringComparison.Ordinal);
    }

    [TerminalFact]
    public async Task Ctrl_C_stops_an_answer_and_not_the_program()
    {
        using var terminal = Pty.Start("chat", TestFolders.Capitals, "--temperature", "0", "--context", "64", "--ignore-eos", "--keep-when-full", "8");
        await terminal.Expect("› ");
        await terminal.Type("What is the capital of France?\r");
        await terminal.Expect("Paris");
        await terminal.Type("\u0003");
        await terminal.Expect("stopped; what was said so far counts");
        await terminal.Expect("› ");
        // The first line comes back, and is asked again.
        await terminal.Type("\u001b[A\r");
        await terminal.Expect("What is the capital of France?");
        await terminal.Expect("\n");
        await terminal.Type("\u0003");
        await terminal.Expect("stopped");
        await terminal.Expect("› ");
        await terminal.Type("half a line\u0003");
        await terminal.Expect("Ctrl-C again ends the chat");
        await terminal.Type("/sy\t\r");
        await terminal.Expect("the system message is empty");
        await terminal.Type("\u0003");
        await terminal.Expect("Ctrl-C again ends the chat");
        await terminal.Type("\u0003");
        Assert.Equal(130, await terminal.ExitCode());
    }

    [TerminalFact]
    public async Task Ctrl_D_ends_the_chat()
    {
        using var terminal = Pty.Start("chat", TestFolders.Capitals, "--context", "64");
        await terminal.Expect("/help lists the commands");
        await terminal.Expect("› ");
        await terminal.Type("\u0004");
        Assert.Equal(0, await terminal.ExitCode());
    }

    private static (int, string) Last(Tool.Result run) => (run.ExitCode, run.ErrorLines[^1]);

    private static Task<Tool.Result> Chat(string script, params string[] options) =>
        Tool.Run("nbm.dll", ["chat", TestFolders.Capitals, .. options], input: script);
}
