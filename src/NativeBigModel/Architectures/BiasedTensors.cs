using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Tensor rules with biases beside the weights, as layer norms and the older families have them.</summary>
internal static class BiasedTensors
{
    /// <summary>A norm's weight and bias.</summary>
    public static TensorRule[] Norm(string gguf, string huggingFace) => Both(gguf, huggingFace, DecoderTensors.Embedding, DecoderTensors.Embedding);

    /// <summary>A projection's weight and bias.</summary>
    public static TensorRule[] Linear(string gguf, string huggingFace, Func<ModelShape, LayerShape, long[]> dimensions) =>
        Both(gguf, huggingFace, dimensions, (model, layer) => [dimensions(model, layer)[1]]);

    private static TensorRule[] Both(string gguf, string huggingFace, Func<ModelShape, LayerShape, long[]> weight, Func<ModelShape, LayerShape, long[]> bias) =>
    [
        new($"{gguf}.weight", $"{huggingFace}.weight", weight),
        new($"{gguf}.bias", $"{huggingFace}.bias", bias),
    ];
}
