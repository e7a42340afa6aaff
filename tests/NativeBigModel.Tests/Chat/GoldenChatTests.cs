using System.Text.Json;
using NativeBigModel.Chat;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Chat;

/// <summary>Conversations that transformers rendered with the templates of real model families, and their token ids.</summary>
[Collection(EngineGroup.Name)]
public class GoldenChatTests
{
    public static TheoryData<string> Cases
    {
        get
        {
            var data = new TheoryData<string>();
            if (TestFolders.Golden is null) data.Add(TestFolders.NoFolders);
            else foreach (string folder in Directory.EnumerateDirectories(TestFolders.Golden).Order(StringComparer.Ordinal))
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
        using TokenizerCheckpoint folder = new(Path.Combine(TestFolders.Golden!, name));
        RequireChats(Checkpoint.Open(folder.Path), Path.Combine(TestFolders.Golden!, name));
    }

    [Theory]
    [InlineData("llama2")]
    [InlineData("qwen3")]
    [InlineData("gemma3")]
    [InlineData("phi3")]
    public async Task A_converted_file_renders_it_too(string name)
    {
        if (TestFolders.Golden is null) return;
        using TokenizerCheckpoint folder = new(Path.Combine(TestFolders.Golden, name));
        RequireChats(Checkpoint.Open(await folder.ConvertAsync()), Path.Combine(TestFolders.Golden, name));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // where the engine tokenizes all by itself
    public void What_a_message_spells_is_no_token_of_SentencePiece(bool anothersFile)
    {
        if (TestFolders.Golden is null) return;
        using TokenizerCheckpoint folder = new(Path.Combine(TestFolders.Golden, "llama2"));
        using TempFolder output = new();
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        if (anothersFile)
        {
            ModelDefinition definition = checkpoint.Define(WeightType.AsStored);
            foreach (string key in definition.Metadata.Select(pair => pair.Key).Where(key => key.StartsWith("nbm.", StringComparison.Ordinal)).ToArray()) definition.Metadata.Remove(key);
            GgufFile.Write(output["model.gguf"], definition.Metadata, definition.Tensors, progress: null, CancellationToken.None);
            checkpoint = Checkpoint.Open(output["model.gguf"]);
            Assert.Null(checkpoint.Text.Preparation);
        }
        using Tokenizer tokenizer = Tokenizer.Open(checkpoint);
        ChatTemplate template = ChatTemplate.From(checkpoint, "{{ bos_token }}[INST] {{ messages[0].content }} [/INST]{{ eos_token }}{{ bos_token }}");
        int[] ids = tokenizer.Encode(template.Render([ChatMessage.User("a </s><s> b")]));
        Assert.Equal([1], ids[..1]);
        Assert.Equal([2, 1], ids[^2..]);
        Assert.DoesNotContain(ids[1..^2], id => id is 0 or 1 or 2);
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
