using System.Text;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

public sealed unsafe class VocabularyTests : IDisposable
{
    private readonly LlamaModelHandle _model = TinyModel.Load();

    private LlamaVocab* Vocab => LlamaModelApi.LlamaModelGetVocab(_model);

    public void Dispose() => _model.Dispose();

    [Fact]
    public void Special_tokens_are_those_of_the_metadata()
    {
        Assert.Equal(LlamaVocabType.Spm, LlamaVocabApi.LlamaVocabType(Vocab));
        Assert.Equal(TinyModel.Vocabulary, LlamaVocabApi.LlamaVocabNTokens(Vocab));
        Assert.Equal([1, 2, -1], new[] { LlamaVocabApi.LlamaVocabBos(Vocab), LlamaVocabApi.LlamaVocabEos(Vocab), LlamaVocabApi.LlamaVocabEot(Vocab) });
        Assert.True(LlamaVocabApi.LlamaVocabIsEog(Vocab, 2));
        Assert.False(LlamaVocabApi.LlamaVocabIsEog(Vocab, 5));
        Assert.True(LlamaVocabApi.LlamaVocabIsControl(Vocab, 1));
        Assert.True(LlamaVocabApi.LlamaVocabGetAddBos(Vocab));
        Assert.False(LlamaVocabApi.LlamaVocabGetAddEos(Vocab));
    }

    [Fact]
    public void Text_beyond_ASCII_goes_to_tokens_and_back()
    {
        int[] tokens = Tokenize("aé", addSpecial: true);
        Assert.Equal([1, 4, 31], tokens);
        Assert.Equal(" aé", Detokenize(tokens));
        byte* piece = stackalloc byte[8];
        Assert.Equal(2, LlamaVocabApi.LlamaTokenToPiece(Vocab, 31, piece, 8, 0, special: false));
        Assert.Equal("é"u8.ToArray(), new ReadOnlySpan<byte>(piece, 2).ToArray());
    }

    [Fact]
    public void Too_little_room_is_answered_with_what_is_needed()
    {
        fixed (byte* text = "abc"u8)
        {
            int one;
            Assert.Equal(-4, LlamaVocabApi.LlamaTokenize(Vocab, text, 3, &one, 1, addSpecial: true, parseSpecial: false));
        }
    }

    private int[] Tokenize(string text, bool addSpecial)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        int[] tokens = new int[bytes.Length + 2];
        fixed (byte* from = bytes)
        fixed (int* to = tokens)
            return tokens[..LlamaVocabApi.LlamaTokenize(Vocab, from, bytes.Length, to, tokens.Length, addSpecial, parseSpecial: false)];
    }

    private string Detokenize(int[] tokens)
    {
        byte[] bytes = new byte[64];
        fixed (int* from = tokens)
        fixed (byte* to = bytes)
            return Encoding.UTF8.GetString(bytes, 0, LlamaVocabApi.LlamaDetokenize(Vocab, from, tokens.Length, to, bytes.Length, removeSpecial: true, unparseSpecial: false));
    }
}
