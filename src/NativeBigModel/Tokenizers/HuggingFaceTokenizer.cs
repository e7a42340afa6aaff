namespace NativeBigModel.Tokenizers;
internal sealed record TokenIds(int? Bos, int? Eos, int? Pad);
internal static class HuggingFaceTokenizer { public static Vocabulary? Read(string folder, int vocabularySize, TokenIds config) => null; }
