namespace NativeBigModel.Tokenizers;
internal static class PreTokenizers { public static bool ImpliesNfc(string pre) => pre == "qwen2"; }
