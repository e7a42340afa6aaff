using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace NativeBigModel.Bench.Torch;

/// <summary>The weights of a Hugging Face folder in float16, as tensors in host memory.</summary>
internal static class SafetensorsFolder
{
    private const int MostAtOnce = 1 << 30;

    public static Dictionary<string, Tensor> Read(string folder, bool pinned)
    {
        var weights = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        Span<byte> length = stackalloc byte[sizeof(long)];
        foreach (string file in Directory.EnumerateFiles(folder, "*.safetensors"))
        {
            using SafeFileHandle handle = File.OpenHandle(file);
            ReadFully(handle, length, 0);
            var header = new byte[BitConverter.ToInt64(length)];
            ReadFully(handle, header, length.Length);
            using JsonDocument names = JsonDocument.Parse(header);
            foreach (JsonProperty one in names.RootElement.EnumerateObject())
            {
                if (one.Name == "__metadata__") continue;
                if (one.Value.GetProperty("dtype").GetString() != "F16") throw new InvalidDataException($"{file}: {one.Name}: dtype is {one.Value.GetProperty("dtype")}, and F16 is read");
                long[] shape = [.. one.Value.GetProperty("shape").EnumerateArray().Select(extent => extent.GetInt64())];
                Tensor tensor = empty(shape, ScalarType.Float16);
                ReadFully(handle, tensor.bytes, sizeof(long) + header.Length + one.Value.GetProperty("data_offsets")[0].GetInt64());
                weights[one.Name] = pinned ? Pin(tensor) : tensor;
            }
        }
        return weights;
    }

    private static Tensor Pin(Tensor tensor)
    {
        using (tensor) return tensor.pin_memory();
    }

    private static void ReadFully(SafeFileHandle file, Span<byte> destination, long offset)
    {
        while (destination.Length > 0)
        {
            int read = RandomAccess.Read(file, destination[..Math.Min(destination.Length, MostAtOnce)], offset);
            if (read == 0) throw new EndOfStreamException();
            destination = destination[read..];
            offset += read;
        }
    }
}
