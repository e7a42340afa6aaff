namespace NativeBigModel.Architectures;

/// <summary>The names that transformers gives to the activations of llama.cpp's graphs.</summary>
internal static class Activation
{
    /// <summary>ggml's GELU is the approximation by tanh, from a table in half precision on the CPU; the exact one differs from it by less than the table does.</summary>
    public static IReadOnlyList<string> Gelu { get; } = ["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu"];

    /// <summary>The square of the positive part.</summary>
    public static IReadOnlyList<string> SquaredRelu { get; } = ["relu2"];
}
