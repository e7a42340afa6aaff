using System.Text.Json;
using NativeBigModel.Chat;

namespace NativeBigModel.Tests.Chat;

/// <summary>Calls of tools in the formats of the common families, each told by a template that renders them so.</summary>
[Collection(EngineGroup.Name)]
public class ChatAnswerTests
{
    private const string Arguments = """{"city": "Paris"}""";

    private static readonly ChatMessage[] s_question = [ChatMessage.User("Is it raining in Paris?")];

    private static readonly ChatRenderOptions s_tools = new() { Tools = [new("get_weather", "The weather of a city", Schema())] };

    [Theory]
    [InlineData(ChatFormats.Hermes, "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>")]
    [InlineData(ChatFormats.Mistral, "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}, \"id\": \"123456789\"}]")]
    public void A_call_is_read_and_rendered_back(string source, string text)
    {
        ChatTemplate template = ChatTemplate.From(Checkpoint.Open(TestFolders.Capitals), source);
        ChatAnswerFormat format = template.AnswerFormat(s_question, s_tools);

        ChatToolCall call = Assert.Single(format.Parse(text).ToolCalls);
        Assert.Equal(("get_weather", Arguments), (call.Name, call.Arguments));
        Assert.Equal("No, it is dry.", format.Parse("No, it is dry.").Content);
        Assert.Empty(format.Parse("No, it is dry.").ToolCalls);

        ChatMessage answer = new("assistant", null) { ToolCalls = [call] };
        Assert.Contains(text, template.Render([.. s_question, answer, ChatMessage.Tool(call.Id, "dry")], s_tools).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_beginning_of_an_answer_can_be_read()
    {
        const string text = "Let me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
        ChatAnswerFormat format = ChatTemplate.From(Checkpoint.Open(TestFolders.Capitals), ChatFormats.Hermes).AnswerFormat(s_question, s_tools);
        string longest = "";
        for (int length = 0; length <= text.Length; length++)
        {
            string content = format.Parse(text[..length], partial: length < text.Length).Content;
            Assert.DoesNotContain("tool_call>", content, StringComparison.Ordinal);
            longest = content;
        }
        Assert.Equal("Let me see.", longest.Trim());
    }

    [Fact]
    public void A_schema_becomes_a_grammar()
    {
        string grammar = JsonSchemaGrammar.Create("""{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}""");
        // As in llama.cpp's own tests of its converter.
        Assert.Contains("""root ::= "{" space name-kv ( "," space ( age-kv ) )? space "}" """.Trim(), grammar, StringComparison.Ordinal);
        Assert.Contains("integral-part ::= [0] | [1-9] [0-9]{0,15}", grammar, StringComparison.Ordinal);
        Assert.Contains("root ::=", JsonSchemaGrammar.AnyObject, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"type": "nonsense"}""", "nonsense")]
    [InlineData("""{"$ref": "#/a/b"}""", "#/a/b")]
    [InlineData("[1", "parse")]
    public void What_is_no_schema_is_refused(string schema, string words) =>
        Assert.Contains(words, Assert.Throws<InvalidOptionException>(() => JsonSchemaGrammar.Create(schema)).Message, StringComparison.Ordinal);

    private static JsonElement Schema()
    {
        using JsonDocument document = JsonDocument.Parse("""{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}""");
        return document.RootElement.Clone();
    }
}
