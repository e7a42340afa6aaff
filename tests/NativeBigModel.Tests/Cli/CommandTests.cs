using System.Diagnostics;
using System.Text.Json;

namespace NativeBigModel.Tests.Cli;

[Collection(EngineGroup.Name)]
public class CommandTests
{
    private static readonly string s_model = TestFolders.Capitals;

    [Fact]
    public async Task Demo_shows_a_plan_and_answers()
    {
        Tool.Result demo = await Tool.Run("demo");
        Assert.Equal(0, demo.ExitCode);
        Assert.Contains("Washington, D.C.", demo.Output, StringComparison.Ordinal);
        Assert.Contains("16.0 MiB", demo.Output, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', demo.Output);
    }

    [Theory]
    [InlineData("bf16")]
    [InlineData("q8_0")]
    [InlineData("q4_k_m")]
    public async Task Run_answers_from_every_type(string type)
    {
        Tool.Result run = await Tool.Run("run", s_model, "--prompt", Capitals.UnitedStates, "--temperature", "0", "--type", type);
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("Washington, D.C.", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_prints_one_object()
    {
        Capitals.Reference reference = Capitals.References[0];
        JsonElement run = await Object("run", s_model, "--prompt-ids", string.Join(',', reference.Ids), "--temperature", "0", "--offload", "stream");
        Assert.Equal(reference.Greedy, Capitals.Ids(run.GetProperty("ids")));
        Assert.Equal(reference.Ids, Capitals.Ids(run.GetProperty("prompt_ids")));
        Assert.Equal("stop", run.GetProperty("finish_reason").GetString());
        Assert.Contains("Washington", run.GetProperty("text").GetString(), StringComparison.Ordinal);
        foreach (string timing in (string[])["load_s", "prefill_s", "decode_s_per_token"]) Assert.True(run.GetProperty("timings").GetProperty(timing).GetDouble() > 0);
        Assert.True(run.GetProperty("plan").GetProperty("weight_bytes").GetInt64() > 7_000_000);
        Assert.True(run.GetProperty("streaming").GetProperty("bytes_from_host").GetInt64() > 7_000_000);
    }

    [Fact]
    public async Task Plan_prints_devices_and_layers()
    {
        JsonElement plan = await Object("plan", s_model, "--max-memory", "0=4MiB,cpu=1GB", "--context", "256");
        Assert.Equal(["0", "cpu"], plan.GetProperty("devices").EnumerateArray().Select(device => device.GetProperty("name").GetString()));
        Assert.Equal([4 << 20, 1_000_000_000], plan.GetProperty("devices").EnumerateArray().Select(device => device.GetProperty("limit").GetInt32()));
        Assert.All(plan.GetProperty("devices").EnumerateArray(), device =>
            Assert.Equal(device.GetProperty("total").GetInt64(), device.GetProperty("weights").GetInt64() + device.GetProperty("kv").GetInt64() + device.GetProperty("ring").GetInt64() + device.GetProperty("staging").GetInt64() + device.GetProperty("compute").GetInt64()));
        Assert.Equal(8, plan.GetProperty("layers").GetArrayLength());
        Assert.Equal(256L * 6 * 2 * 4 * 32 * 2, plan.GetProperty("kv_bytes").GetInt64());
    }

    [Fact]
    public async Task A_hybrid_plan_shows_what_the_CPU_computes_between_streamed_layers_and_runs_from_a_file()
    {
        Tool.Result table = await Tool.Run("plan", s_model, "--max-memory", "0=9050000,cpu=1GiB", "--context", "256", "--offload", "hybrid", "--cpu-share", "0.5");
        Assert.Equal(0, table.ExitCode);
        Assert.Contains("computed by the CPU while the rest streams", table.Output, StringComparison.Ordinal);
        Assert.Contains("ffn 0", table.Output, StringComparison.Ordinal);
        using var folder = new TempFolder();
        await Object("plan", s_model, "--context", "256", "--offload", "hybrid", "--cpu-share", "0.3", "--out", folder["plan.json"]);
        Tool.Result run = await Tool.Run("run", s_model, "--plan", folder["plan.json"], "--prompt", Capitals.UnitedStates, "--temperature", "0");
        Assert.Contains("Washington, D.C.", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Linked_experts_are_shown_and_those_that_no_token_uses_are_refused()
    {
        Tool.Result dense = await Tool.Run("plan", s_model, "--linked-experts", "1");
        Assert.Equal((2, "error: 1 linked experts: a token uses 0 of this model's experts, and 0 to as many may be linked"), (dense.ExitCode, dense.ErrorLines.Single()));
        if (TestFolders.Golden is null) return;
        string mixture = Path.Combine(TestFolders.Golden, "mixtral");
        foreach ((string linked, string shown) in ((string, string)[])[("0", "computed by the CPU while the rest streams"), ("1", "of the 2 experts that a token uses a GPU reads 1 there"), ("2", "a GPU reads the 2 experts that a token uses")])
        {
            Tool.Result table = await Tool.Run("plan", mixture, "--context", "64", "--max-memory", "0=850kB,cpu=1GiB", "--ring", "1", "--offload", "hybrid", "--cpu-share", "1", "--linked-experts", linked);
            Assert.Equal(0, table.ExitCode);
            Assert.Contains(shown, table.Output.ReplaceLineEndings(" "), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_plan_says_where_optimizing_would_make_tokens_clearly_faster()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["config.json"], """
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
             "vocab_size": 128256, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "torch_dtype": "bfloat16"}
            """);
        async Task<string> Plan(params string[] options) => (await Tool.Run(["plan", folder.Path, "--type", "q4_k_m", .. options])).Output.ReplaceLineEndings(" ");
        const string hint = "with --optimize decode a token takes ";
        Assert.Contains(hint, await Plan("--max-memory", "0=12GiB,cpu=48GiB", "--offload", "stream"), StringComparison.Ordinal);
        foreach (string[] asGood in (string[][])[["--max-memory", "0=12GiB,cpu=48GiB", "--optimize", "decode"], ["--max-memory", "0=60GiB"], ["--max-memory", "cpu=48GiB"]])
            Assert.DoesNotContain(hint, await Plan(asGood), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_batch_from_which_a_hybrid_plan_streams_everything_is_asked_for_and_shown()
    {
        Tool.Result table = await Tool.Run("plan", s_model, "--context", "64", "--max-memory", "0=6MiB,cpu=1GiB", "--offload", "hybrid", "--cpu-share", "1", "--shared-batch", "9");
        Assert.Contains("prompts of 9 tokens and more stream them too", table.Output.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Tool.Result one = await Tool.Run("plan", s_model, "--shared-batch", "1");
        Assert.Equal((2, "error: shared batch size 1: a batch has at least 2 tokens"), (one.ExitCode, one.ErrorLines.Single()));
    }

    [Fact]
    public async Task Bench_times_every_prompt_in_every_round()
    {
        JsonElement bench = await Object("bench", s_model, "--prompt", "4,40", "--tokens", "9", "--rounds", "2", "--context", "64", "--offload", "stream");
        JsonElement[] rounds = [.. bench.GetProperty("rounds").EnumerateArray()];
        Assert.Equal([4, 40, 4, 40], rounds.Select(round => round.GetProperty("prompt").GetInt32()));
        Assert.All(rounds, round => Assert.True(round.GetProperty("prefill_s").GetDouble() > 0 && round.GetProperty("decode_s_per_token").GetDouble() > 0));
        // Eight tokens bring every layer each; what a ring as long as the model brings ahead may be counted with the pass before.
        long pass = bench.GetProperty("plan").GetProperty("weight_bytes").GetInt64();
        Assert.All(rounds, round => Assert.InRange(round.GetProperty("streamed_bytes_per_token").GetDouble(), pass * 0.8, pass * 1.2));
        foreach (string[] wrong in (string[][])[["--prompt", "0"], ["--tokens", "1"], ["--rounds", "0"], ["--cpu-share", "2"], ["--threads", "0"]])
            Assert.Equal(2, (await Tool.Run(["bench", s_model, .. wrong])).ExitCode);
    }

    [Fact]
    public async Task A_device_map_is_planned_and_run()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["map.json"], """{"": "cpu", "model.layers.2": "disk", "blk.3": "disk", "blk.4": "disk"}""");
        JsonElement plan = await Object("plan", s_model, "--max-memory", "0=6952960,1=6952960,cpu=1GiB", "--context", "256", "--device-map", "auto");
        Assert.Equal("cpu,0,1,1,1,cpu,cpu,cpu", string.Join(',', plan.GetProperty("layers").EnumerateArray().Select(layer => layer.GetProperty("device").GetString())));
        Assert.Equal(2, plan.GetProperty("notes").GetArrayLength());
        JsonElement run = await Object("run", s_model, "--device-map", folder["map.json"], "--ring", "2", "--offload-folder", folder["store"], "--max-memory", "cpu=1GiB", "--prompt", Capitals.UnitedStates, "--temperature", "0");
        Assert.Contains("Washington, D.C.", run.GetProperty("text").GetString(), StringComparison.Ordinal);
        Assert.Equal("cpu,cpu,cpu,disk,disk,disk,cpu,cpu", string.Join(',', run.GetProperty("plan").GetProperty("layers").EnumerateArray().Select(layer => layer.GetProperty("device").GetString())));
        Assert.True(run.GetProperty("streaming").GetProperty("bytes_from_file").GetInt64() > 0);
    }

    [Fact]
    public async Task What_accelerate_answers_is_printed_as_a_map_that_can_be_given_back()
    {
        string[] limits = ["--max-memory", "0=1GiB,1=1GiB,cpu=1GiB", "--context", "256"];
        using var folder = new TempFolder();
        Tool.Result map = await Tool.Run(["plan", s_model, .. limits, "--device-map", "auto", "--format", "devicemap"]);
        Assert.Contains("\"model.layers.0\": 0,", map.Output, StringComparison.Ordinal);
        await File.WriteAllTextAsync(folder["map.json"], map.Output);
        async Task<string> Layers(string from) => (await Object(["plan", s_model, .. limits, "--device-map", from])).GetProperty("layers").ToString();
        Assert.Equal(await Layers("auto"), await Layers(folder["map.json"]));
    }

    [Fact]
    public async Task A_plan_is_written_and_carried_out_and_an_edited_one_is_refused()
    {
        using var folder = new TempFolder();
        string file = folder["plan.json"];
        JsonElement plan = await Object("plan", s_model, "--max-memory", "cpu=1GiB", "--context", "256", "--type", "q8_0", "--out", file);
        JsonElement run = await Object("run", s_model, "--plan", file, "--prompt", Capitals.UnitedStates, "--temperature", "0");
        Assert.Contains("Washington, D.C.", run.GetProperty("text").GetString(), StringComparison.Ordinal);
        Assert.Equal(plan.GetRawText(), run.GetProperty("plan").GetRawText().Replace("\n  ", "\n", StringComparison.Ordinal));
        Assert.Equal(2, (await Tool.Run("run", s_model, "--plan", file, "--prompt", "x", "--type", "q8_0")).ExitCode);
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("\"kv_bytes\": 131072", "\"kv_bytes\": 131071", StringComparison.Ordinal));
        Tool.Result edited = await Tool.Run("run", s_model, "--plan", file, "--prompt", "x");
        Assert.Equal((2, "error: plan: blk.0: KV bytes are 131071, and this model makes them 131072"), (edited.ExitCode, edited.ErrorLines.Single()));
        Assert.Equal(["plan.json"], folder.Files);
    }

    [Fact]
    public async Task A_plan_is_exported()
    {
        string[] plan = ["plan", s_model, "--max-memory", "0=4MiB,cpu=1GiB", "--context", "256", "--type", "q8_0", "--format"];
        Tool.Result arguments = await Tool.Run([.. plan, "llamacpp"]), parameters = await Tool.Run([.. plan, "llamasharp"]);
        Assert.Equal((0, 0), (arguments.ExitCode, parameters.ExitCode));
        Assert.StartsWith("-m capitals-llama-Q8_0.gguf -fit off -ngl ", arguments.Output, StringComparison.Ordinal);
        Assert.Contains($"nbm convert {s_model} capitals-llama-Q8_0.gguf --type Q8_0", arguments.Errors, StringComparison.Ordinal);
        Assert.Equal("capitals-llama-Q8_0.gguf", JsonDocument.Parse(parameters.Output).RootElement.GetProperty("ModelPath").GetString());
        Assert.Equal((await Tool.Run([.. plan, "json"])).Output, (await Tool.Run([.. plan[..^1], "--json"])).Output);
    }

    [Fact]
    public async Task Template_shows_a_conversation_and_its_tokens()
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["messages.json"], """[{"role": "user", "content": "What is the capital of France?"}]""");
        JsonElement rendered = await Object("template", s_model, "--messages", folder["messages.json"], "--add-generation-prompt");
        Assert.Equal("<|begin_of_text|><|user|>\nWhat is the capital of France?<|end|>\n<|assistant|>\n", rendered.GetProperty("text").GetString());
        Assert.Equal([0, 2, 203], Capitals.Ids(rendered.GetProperty("ids"))[..3]);
        Assert.Equal(2, (await Tool.Run("template", s_model, "--messages", folder["messages.json"], "--name", "none")).ExitCode);
        await File.WriteAllTextAsync(folder["messages.json"], "[{");
        Assert.Equal(3, (await Tool.Run("template", s_model, "--messages", folder["messages.json"])).ExitCode);
    }

    [Fact]
    public async Task Convert_inspect_tokenize_detokenize_and_logits_work_together()
    {
        using var folder = new TempFolder();
        string gguf = folder["model.gguf"];
        Assert.True((await Object("convert", s_model, gguf, "--type", "q8_0")).GetProperty("bytes").GetInt64() == new FileInfo(gguf).Length);
        Assert.Equal("llama", (await Object("inspect", gguf)).GetProperty("architecture").GetString());
        await File.WriteAllTextAsync(folder["texts.json"], JsonSerializer.Serialize((string[])["Alice and Bob", "", "你是谁"]));
        JsonElement many = (await Object("tokenize", gguf, "--json-file", folder["texts.json"])).GetProperty("ids");
        Assert.Equal([7, 1, 8], many.EnumerateArray().Select(ids => ids.GetArrayLength()));
        Assert.Equal(6, (await Object("tokenize", gguf, "--json-file", folder["texts.json"], "--no-special")).GetProperty("ids")[0].GetArrayLength());
        Assert.Equal("<|begin_of_text|>Alice and Bob", (await Object("detokenize", gguf, "--ids", string.Join(',', Capitals.Ids(many[0])))).GetProperty("text").GetString());
        Assert.Equal(0, (await Tool.Run("logits", gguf, "--ids", "0,1,2", "--out", folder["logits.f32"])).ExitCode);
        Assert.Equal(3 * 1024 * 4, new FileInfo(folder["logits.f32"]).Length);
    }

    [Theory]
    [InlineData(2, "run", "MODEL")]
    [InlineData(2, "run", "MODEL", "--prompt", "x", "--temperature", "-1")]
    [InlineData(2, "run", "MODEL", "--prompt-ids", "1,x")]
    [InlineData(2, "run", "MODEL", "--prompt-ids", "99999")]
    [InlineData(2, "plan", "MODEL", "--max-memory", "0=10Gib,tpu=1GiB")]
    [InlineData(2, "plan", "MODEL", "--max-memory", "0=-1GiB")]
    [InlineData(2, "plan", "MODEL", "--max-memory", "0=many")]
    [InlineData(2, "plan", "MODEL", "--device-map", "nonsense")]
    [InlineData(2, "plan", "MODEL", "--format", "devicemap")]
    [InlineData(2, "plan", "MODEL", "--device-map", "auto", "--format", "devicemap", "--out", "OUT")]
    [InlineData(2, "plan", "MODEL", "--device-map", "auto", "--format", "devicemap", "--explain")]
    [InlineData(2, "plan", "MODEL", "--fallback-allocation")]
    [InlineData(2, "plan", "MODEL", "--format", "yaml")]
    [InlineData(2, "plan", "MODEL", "--device-map", "MODEL/config.json")]
    [InlineData(4, "plan", "MODEL", "--device-map", "auto", "--max-memory", "cpu=100KiB")]
    [InlineData(4, "plan", "MODEL", "--max-memory", "cpu=0")]
    [InlineData(4, "plan", "MODEL", "--max-memory", "0=1MiB,cpu=1GiB", "--offload", "stream")]
    [InlineData(2, "plan", "MODEL", "--context", "100000")]
    [InlineData(2, "plan", "MODEL", "--kv-type", "q6_k")]
    [InlineData(2, "convert", "MODEL", "OUT", "--type", "q9")]
    [InlineData(2, "tokenize", "MODEL")]
    [InlineData(2, "nonsense")]
    [InlineData(2)]
    [InlineData(3, "inspect", "/nonexistent")]
    [InlineData(3, "convert", "/nonexistent", "OUT")]
    [InlineData(4, "plan", "MODEL", "--max-memory", "cpu=100KiB")]
    [InlineData(5, "run", "MODEL", "--prompt", "x", "--max-memory", "7=1GiB,cpu=1GiB")]
    public async Task A_failure_is_one_line_and_its_exit_code(int code, params string[] arguments)
    {
        using var folder = new TempFolder();
        string[] real = [.. arguments.Select(argument => argument switch { "OUT" => folder["out.gguf"], _ => argument.Replace("MODEL", s_model, StringComparison.Ordinal) })];
        Tool.Result plain = await Tool.Run(real), json = await Tool.Run([.. real, "--json"]);
        Assert.Equal(code, plain.ExitCode);
        Assert.Single(plain.ErrorLines);
        Assert.Single(plain.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(code, json.ExitCode);
        Assert.Equal(code, JsonDocument.Parse(json.Output).RootElement.GetProperty("error").GetProperty("exit_code").GetInt32());
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public async Task Control_C_ends_a_run_with_130()
    {
        if (OperatingSystem.IsWindows()) return;
        Tool.Result run = await Tool.Run("nbm.dll", ["run", s_model, "--prompt", "x", "--max-new-tokens", "100000", "--ignore-eos", "--context", "512", "--offload", "stream", "--temperature", "5"], process =>
        {
            Thread.Sleep(150);
            using Process signal = Process.Start("kill", ["-INT", $"{process.Id}"]);
            signal.WaitForExit();
        });
        // The signal may come before the tool listens, or after the context is full.
        Assert.Contains(run.ExitCode, (int[])[130, 0]);
    }

    private static async Task<JsonElement> Object(params string[] arguments)
    {
        Tool.Result result = await Tool.Run([.. arguments, "--json"]);
        Assert.True(result.ExitCode == 0, result.Errors);
        return JsonDocument.Parse(result.Output).RootElement;
    }
}
