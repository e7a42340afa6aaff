using System.Text;

namespace NativeBigModel.Server;

/// <summary>Tokens as log-probabilities name them.</summary>
internal sealed class TokenNames(Tokenizer tokenizer)
{
    // JSON has no infinity; this is what OpenAI writes for it.
    private const float Never = -9999;

    /// <summary>A step's token, with the likeliest ones in its place.</summary>
    public TokenBody Of(GenerationStep step) => Of(step.Token, step.LogProb ?? Never) with { TopLogprobs = [.. step.TopLogProbs.Select(one => Of(one.Token, one.LogProb))] };

    /// <summary>A token's text, where its bytes are whole characters; and otherwise what they look like.</summary>
    public string Text(int token) => Encoding.UTF8.GetString(Bytes(token));

    private TokenBody Of(int token, float logProb)
    {
        byte[] bytes = Bytes(token);
        return new(Encoding.UTF8.GetString(bytes), logProb >= Never ? logProb : Never, [.. bytes.Select(static one => (int)one)], null);
    }

    // Special tokens have no text in an answer, but a spelling.
    private byte[] Bytes(int token) => tokenizer.Piece(token) is { Length: > 0 } piece ? piece : Encoding.UTF8.GetBytes(tokenizer.Decode([token]));
}
