using System.Globalization;
using System.Text.RegularExpressions;

namespace NativeBigModel.Tests.Planning.Exports;

/// <summary>
/// Where llama.cpp v0.5.0 puts a model's layers, by its own rule (llama-model.cpp, load_tensors): the first n_layer + 1 - n_gpu_layers of them on the CPU; each
/// other one on the first device whose running share of tensor_split, in single precision, is above its position over n_gpu_layers. A tensor whose name an
/// override finds goes to that buffer type instead (llama-model-loader.cpp).
/// </summary>
internal sealed class StockLlamaCpp(int layers, int gpuLayers, IReadOnlyList<float> split, string? override_)
{
    /// <summary>The device of a layer and of its keys and values: a GPU's number, or cpu.</summary>
    public string DeviceOf(int layer)
    {
        int start = Math.Max(layers + 1 - gpuLayers, 0), active = Math.Min(gpuLayers, layers + 1);
        if (layer < start || layer - start >= active) return "cpu";
        float[] bounds = new float[split.Count];
        float sum = 0;
        for (int i = 0; i < split.Count; i++) bounds[i] = sum += split[i];
        for (int i = 0; i < split.Count; i++) bounds[i] /= sum;
        float position = (float)(layer - start) / active;
        return Array.FindIndex(bounds, bound => bound > position).ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>The device of a tensor's bytes.</summary>
    public string DeviceOf(int layer, string tensor) => override_ is not null && Regex.IsMatch(tensor, override_, RegexOptions.ECMAScript) ? "cpu" : DeviceOf(layer);

    /// <summary>Reads the options that decide it.</summary>
    public static StockLlamaCpp Of(int layers, IReadOnlyList<string> arguments)
    {
        string? Value(string option) => arguments.SkipWhile(argument => argument != option).Skip(1).FirstOrDefault();
        string? tensors = Value("-ot");
        if (tensors is not null)
        {
            // -ot is cut at commas, and each part at its first equals sign.
            string[] parts = tensors.Split('=');
            Assert.Equal(2, parts.Length);
            Assert.DoesNotContain(',', tensors);
            Assert.Equal("CPU", parts[1]);
            tensors = parts[0];
        }
        return new(layers, int.Parse(Value("-ngl")!, CultureInfo.InvariantCulture), [.. (Value("-ts") ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries).Select(part => float.Parse(part, CultureInfo.InvariantCulture))], tensors);
    }
}
