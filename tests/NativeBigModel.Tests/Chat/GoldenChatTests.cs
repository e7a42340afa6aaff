using System.Text.Json;
using NativeBigModel.Chat;

namespace NativeBigModel.Tests.Chat;

/// <summary>Conversations that transformers rendered with the templates of real model families, and their token ids.</summary>
[Collection(EngineGroup.Name)]
public class GoldenChatTests
{
    // No graph computes these, and so their folders do not open.
    private static readonly string[] s_refused = ["exaone4_swa", "gpt_oss", "gpt_oss_mxfp4"];

    public static TheoryData<string> Cases
    {
        get
        {
            var data = new TheoryData<string>();
            if (TestFolders.Golden is null) data.Add(TestFolders.NoFolders);
            else foreach (string folder in Directory.EnumerateDirectories(TestFolders.Golden).Where(folder => !s_refused.Contains(Path.GetFileName(folder))).Order(StringComparer.Ordinal))
            {
                if (Reference(folder).TryGetProperty("chat", out JsonElement chats) && chats.ValueKind is JsonValueKind.Array && chats.GetArrayLength() > 0) data.Add(Path.GetFileName(folder));
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_conversation_is_what_transformers_renders(string name)
    {
        if (name == TestFolders.NoFolders) return;
        RequireChats(Checkpoint.Open(Path.Combine(TestFolders.Golden!, name)), Path.Combine(TestFolders.Golden!, name));
    }

    [Theory]
    [InlineData("llama2")]
    [InlineData("qwen3")]
    [InlineData("gemma3")]
    [InlineData("phi3")]
    public async Task A_converted_file_renders_it_too(string name)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder output = new();
        await GgufConverter.ConvertAsync(Checkpoint.Open(Path.Combine(TestFolders.Golden, name)), output["model.gguf"], WeightType.F32);
        RequireChats(Checkpoint.Open(output["model.gguf"]), Path.Combine(TestFolders.Golden, name));
    }

    private static void RequireChats(Checkpoint checkpoint, string folder)
    {
        ChatTemplate template = ChatTemplate.Find(checkpoint)!;
        using Tokenizer tokenizer = Tokenizer.Open(checkpoint);
        int compared = 0;
        foreach (JsonElement chat in Reference(folder).GetProperty("chat").EnumerateArray())
        {
            // transformers refused some conversations, as templates may.
            if (!chat.TryGetProperty("text", out JsonElement text) || (chat.TryGetProperty("renderer", out JsonElement renderer) && renderer.GetString() is not (null or "transformers"))) continue;
            bool prompts = chat.TryGetProperty("add_generation_prompt", out JsonElement flag) && flag.GetBoolean();
            ChatPrompt prompt = template.RenderJson(chat.GetProperty("messages"), options: new() { AddGenerationPrompt = prompts });
            Assert.Equal(text.GetString(), prompt.Text);
            if (chat.TryGetProperty("ids", out JsonElement ids)) Assert.Equal(Capitals.Ids(ids), tokenizer.Encode(prompt));
            compared++;
        }
        Assert.NotEqual(0, compared);
    }

    private static JsonElement Reference(string folder)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        return document.RootElement.Clone();
    }
}
