using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama.h: vocabularies and tokenization. Special tokens are -1 where the vocabulary has none.</summary>
internal static unsafe partial class LlamaVocabApi
{
    private const string Llama = EngineLibrary.Llama;

    [LibraryImport(Llama, EntryPoint = "llama_vocab_type")]
    internal static partial LlamaVocabType LlamaVocabType(LlamaVocab* vocab);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_n_tokens")]
    internal static partial int LlamaVocabNTokens(LlamaVocab* vocab);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_is_eog")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaVocabIsEog(LlamaVocab* vocab, int token);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_is_control")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaVocabIsControl(LlamaVocab* vocab, int token);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_bos")]
    internal static partial int LlamaVocabBos(LlamaVocab* vocab);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_eos")]
    internal static partial int LlamaVocabEos(LlamaVocab* vocab);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_eot")]
    internal static partial int LlamaVocabEot(LlamaVocab* vocab);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_get_add_bos")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaVocabGetAddBos(LlamaVocab* vocab);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_get_add_eos")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaVocabGetAddEos(LlamaVocab* vocab);

    /// <summary>Returns the number of tokens, negative where <paramref name="nTokensMax"/> is too few, int.MinValue where none would do.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_tokenize")]
    internal static partial int LlamaTokenize(
        LlamaVocab* vocab, byte* text, int textLen, int* tokens, int nTokensMax,
        [MarshalAs(UnmanagedType.U1)] bool addSpecial, [MarshalAs(UnmanagedType.U1)] bool parseSpecial);

    /// <summary>Returns the number of bytes, negative where <paramref name="length"/> is too few. A piece may be a part of a UTF-8 character.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_token_to_piece")]
    internal static partial int LlamaTokenToPiece(
        LlamaVocab* vocab, int token, byte* buf, int length, int lstrip, [MarshalAs(UnmanagedType.U1)] bool special);

    /// <summary>Returns the number of bytes, negative where <paramref name="textLenMax"/> is too few.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_detokenize")]
    internal static partial int LlamaDetokenize(
        LlamaVocab* vocab, int* tokens, int nTokens, byte* text, int textLenMax,
        [MarshalAs(UnmanagedType.U1)] bool removeSpecial, [MarshalAs(UnmanagedType.U1)] bool unparseSpecial);
}
