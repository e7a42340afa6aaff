using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Hostile;

/// <summary>Small importance matrices in both formats.</summary>
internal static class ImportanceFiles
{
    private static readonly string[] s_names = ["blk.0.ffn_up.weight", "blk.1.ffn_down_exps.weight"];

    /// <summary>Of two weights with four columns, the second with two experts, one of which nothing passed.</summary>
    public static byte[] Make(bool gguf) => gguf ? Gguf() : Binary();

    private static byte[] Gguf()
    {
        using var folder = new TempFolder();
        var metadata = new GgufMetadata { ["general.type"] = "imatrix", ["imatrix.chunk_count"] = 2u, ["imatrix.chunk_size"] = 512u, ["imatrix.datasets"] = (string[])["text"] };
        ModelTensor Tensor(string name, long[] extents, float[] values) => new(new TensorSpec(name, [.. extents], TensorType.F32), new ConstantSource(values));
        GgufFile.Write(folder["imatrix.gguf"], metadata,
        [
            Tensor(s_names[0] + ".in_sum2", [4, 1], [2, 4, 6, 8]), Tensor(s_names[0] + ".counts", [1, 1], [2]),
            Tensor(s_names[1] + ".in_sum2", [4, 2], [3, 6, 9, 0, 0, 0, 0, 0]), Tensor(s_names[1] + ".counts", [1, 2], [3, 0]),
        ], null, CancellationToken.None);
        return File.ReadAllBytes(folder["imatrix.gguf"]);
    }

    private static byte[] Binary()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(2);
        foreach ((string name, int calls, float[] values) in ((string, int, float[])[])[(s_names[0], 2, [2, 4, 6, 8]), (s_names[1], 3, [3, 6, 9, 0, 3, 3, 3, 3])])
        {
            writer.Write(name.Length);
            writer.Write(name.AsSpan());
            writer.Write(calls);
            writer.Write(values.Length);
            writer.Write(MemoryMarshal.AsBytes(values.AsSpan()));
        }
        writer.Write(2);
        writer.Write(4);
        writer.Write("text".AsSpan());
        return stream.ToArray();
    }
}
