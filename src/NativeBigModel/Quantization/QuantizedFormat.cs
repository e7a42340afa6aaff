using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;

namespace NativeBigModel.Quantization;

/// <summary>
/// A published way of storing weights quantised: which tensors of a folder make up one weight, and how its rows are computed. What is stored decides, weight by
/// weight; the configuration's lists of modules that were left alone are not needed for it.
/// </summary>
internal abstract class QuantizedFormat
{
    private readonly (string Suffix, string Weight)[] _parts;

    /// <param name="name">What users call it, with its width.</param>
    /// <param name="kept">The ggml type that its weights have where no other is asked for (<see cref="KeptTypes"/>).</param>
    /// <param name="parts">Endings of the names of a weight's parts, and what stands in their place in its own name.</param>
    protected QuantizedFormat(string name, TensorType kept, params (string Suffix, string Weight)[] parts) => (Name, Kept, _parts) = (name, kept, parts);

    public string Name { get; }

    public TensorType Kept { get; }

    /// <summary>The format that a configuration names, or null where it names none.</summary>
    /// <exception cref="UnsupportedModelException">It names one that is not read.</exception>
    public static QuantizedFormat? Of(ConfigReader config)
    {
        if ((config.OptionalObject("quantization_config") ?? config.OptionalObject("compression_config")) is not { } quantization) return null;
        return quantization.OptionalString("quant_method") switch
        {
            "bitsandbytes" => BitsAndBytes.Read(quantization),
            null when quantization.Has("load_in_4bit") || quantization.Has("load_in_8bit") => BitsAndBytes.Read(quantization),
            "gptq" => Gptq.Read(quantization),
            "awq" => Awq.Read(quantization),
            "fp8" or "fbgemm_fp8" => ScaledBytes.ReadFp8(quantization),
            "mxfp4" => new MxFp4(),
            "compressed-tensors" => CompressedTensors.Read(quantization),
            { } method => throw new UnsupportedModelException($"config.json: quantization_config: quant_method '{(method.Length <= 60 ? method : method[..60] + "...")}' is not read yet; bitsandbytes, gptq, awq, fp8, mxfp4 and compressed-tensors are"),
            null => throw quantization.Error("quant_method", "is missing"),
        };
    }

    /// <summary>The weight that a stored tensor is a part of, or null where it stands for itself.</summary>
    public string? WeightOf(string tensor)
    {
        foreach ((string suffix, string weight) in _parts)
            if (tensor.EndsWith(suffix, StringComparison.Ordinal)) return string.Concat(tensor.AsSpan(0, tensor.Length - suffix.Length), weight);
        return null;
    }

    /// <summary>Whether a tensor is an addition to a quantised weight that adds nothing.</summary>
    public virtual bool SaysNothing(WeightParts parts, StoredTensor tensor) => false;

    /// <summary>The weight, or null where it is stored plainly.</summary>
    /// <exception cref="CheckpointException">A part is missing, or has another type or shape than the others need.</exception>
    public abstract StoredWeight? Find(WeightParts parts, string weight);
}
