using System.Text.Json;
using NativeBigModel.Native;

namespace NativeBigModel.Chat;

/// <summary>Grammars of JSON, for generations that give nothing else.</summary>
public static class JsonSchemaGrammar
{
    /// <summary>The grammar (llama.cpp's GBNF, root rule <c>root</c>) of an object with any members.</summary>
    public static string AnyObject => ChatLibrary.Grammar("""{"type": "object"}""");

    /// <summary>The grammar of what a JSON schema admits. Properties come in the schema's order; what a grammar cannot say, such as sums, is not asked for.</summary>
    /// <exception cref="InvalidOptionException">The schema is none, or refers to one outside itself.</exception>
    public static string Create(JsonElement schema) => ChatLibrary.Grammar(schema.GetRawText());

    /// <summary>The grammar of what a JSON schema admits.</summary>
    /// <inheritdoc cref="Create(JsonElement)"/>
    public static string Create(string schema)
    {
        ArgumentNullException.ThrowIfNull(schema);
        return ChatLibrary.Grammar(schema);
    }
}
