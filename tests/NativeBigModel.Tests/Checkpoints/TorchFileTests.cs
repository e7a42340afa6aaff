using System.Text.Json.Nodes;
using NativeBigModel.Tests.Hostile;

namespace NativeBigModel.Tests.Checkpoints;

/// <summary>PyTorch's files hold the same model as the safetensors files they were made from.</summary>
public class TorchFileTests
{
    private const string Transposed = "model.layers.1.mlp.gate_proj.weight";

    [Fact]
    public void A_zip_file_is_the_same_model() => Same(new() { ["pytorch_model.bin"] = TorchFiles.Zip(TorchSamples.Tensors()) });

    [Fact]
    public void A_file_of_the_old_format_is_the_same_model() => Same(new() { ["pytorch_model.bin"] = TorchFiles.Legacy(TorchSamples.Tensors()) });

    [Fact]
    public void Parameters_are_tensors() => Same(new() { ["pytorch_model.bin"] = TorchFiles.Zip([.. TorchSamples.Tensors().Select(tensor => tensor with { Parameter = true })]) });

    [Fact]
    public void Shards_with_an_index_are_the_same_model()
    {
        List<TorchFiles.Tensor> tensors = TorchSamples.Tensors();
        List<TorchFiles.Tensor>[] shards = [tensors[..5], tensors[5..]];
        JsonObject map = [];
        Dictionary<string, byte[]> files = [];
        for (int i = 0; i < shards.Length; i++)
        {
            string name = $"pytorch_model-0000{i + 1}-of-00002.bin";
            foreach (TorchFiles.Tensor tensor in shards[i]) map[tensor.Name] = name;
            files[name] = TorchFiles.Zip(shards[i]);
        }
        files["pytorch_model.bin.index.json"] = TinyCheckpoint.Utf8(new JsonObject { ["weight_map"] = map });
        Same(files);
    }

    [Fact]
    public void A_transposed_view_is_the_same_matrix()
    {
        List<TorchFiles.Tensor> tensors = [.. TorchSamples.Tensors().Select(tensor => tensor.Name != Transposed ? tensor : tensor with
        {
            Data = Transpose(tensor.Data, (int)tensor.Shape[0], (int)tensor.Shape[1]),
            Strides = [1, tensor.Shape[0]],
        })];
        Same(new() { ["pytorch_model.bin"] = TorchFiles.Zip(tensors) });
    }

    [Fact]
    public void Views_of_one_storage_are_read_at_their_offsets()
    {
        List<TorchFiles.Tensor> tensors = TorchSamples.Tensors();
        int embedding = tensors.FindIndex(tensor => tensor.Name == "model.embed_tokens.weight"), head = tensors.FindIndex(tensor => tensor.Name == "lm_head.weight");
        byte[] both = [.. tensors[embedding].Data, .. tensors[head].Data];
        long offset = tensors[embedding].Data.Length / 4;
        tensors[embedding] = tensors[embedding] with { Data = both };
        tensors[head] = tensors[head] with { Data = both, StorageKey = $"{embedding}", Offset = offset };
        Same(new() { ["pytorch_model.bin"] = TorchFiles.Zip(tensors) });
    }

    [Fact]
    public void Safetensors_go_before_PyTorch_files()
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.Files();
        files["pytorch_model.bin"] = [1, 2, 3];
        using var folder = new HostileFolder(files);
        Assert.All(Checkpoint.Open(folder.Path).StoredTensors, tensor => Assert.EndsWith(".safetensors", tensor.File, StringComparison.Ordinal));
    }

    private static void Same(Dictionary<string, byte[]> weights)
    {
        using var folder = new HostileFolder(TorchSamples.Files(weights));
        string path = Path.Combine(folder.Path, "out.gguf");
        GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), path, WeightType.F32).GetAwaiter().GetResult();
        byte[] made = File.ReadAllBytes(path), expected = TinyCheckpoint.Gguf;
        // The name of the model is the folder's; the data behind the header is the same.
        int data = TinyCheckpoint.Tensors().Sum(tensor => (int)tensor.Shape.Aggregate(1L, (a, b) => a * b) * 4);
        Assert.Equal(expected[^data..], made[^data..]);
    }

    private static byte[] Transpose(byte[] data, int rows, int columns)
    {
        byte[] result = new byte[data.Length];
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) data.AsSpan((row * columns + column) * 4, 4).CopyTo(result.AsSpan((column * rows + row) * 4));
        return result;
    }
}
