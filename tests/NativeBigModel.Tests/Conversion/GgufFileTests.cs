using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Conversion;

/// <summary>Files that were converted, read by stock llama.cpp and by ourselves in each form that GGUF files come in.</summary>
[Collection(EngineGroup.Name)]
public class GgufFileTests(Capitals capitals)
{
    [Fact]
    public async Task Stock_llama_cpp_loads_a_converted_file_and_generates_the_same()
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.AsStored);
        foreach (Capitals.Reference reference in Capitals.References)
            Assert.Equal(reference.Greedy, Stock(folder["model.gguf"], reference.Ids, reference.Greedy.Length));
    }

    [Fact]
    public async Task A_version_2_file_opens_and_generates_the_same()
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.AsStored);
        using (FileStream stream = File.OpenWrite(folder["model.gguf"]))
        {
            stream.Seek(4, SeekOrigin.Begin);
            stream.WriteByte(2);
        }
        await RequireReferences(folder["model.gguf"]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Any_part_of_a_split_file_opens_the_whole_model(int opened)
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.AsStored);
        Split(folder["model.gguf"], folder, 3);
        await RequireReferences(folder[$"part-0000{opened}-of-00003.gguf"]);
    }

    [Fact]
    public async Task A_missing_part_is_named()
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.AsStored);
        Split(folder["model.gguf"], folder, 3);
        File.Delete(folder["part-00002-of-00003.gguf"]);
        var error = Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder["part-00001-of-00003.gguf"]));
        Assert.Equal("part-00002-of-00003.gguf", error.File);
    }

    [Fact]
    public void A_family_without_a_map_is_described_as_it_is_and_not_converted()
    {
        using var folder = new TempFolder();
        var metadata = new GgufMetadata
        {
            ["general.architecture"] = "rwkv7", ["rwkv7.block_count"] = 1u, ["rwkv7.embedding_length"] = 32u, ["rwkv7.context_length"] = 64u, ["rwkv7.vocab_size"] = 8u,
            ["tokenizer.ggml.model"] = "none",
        };
        (byte[] header, _) = GgufWriter.Write(metadata, [new("blk.0.time_mix_key.weight", [32, 4], TensorType.F32)]);
        File.WriteAllBytes(folder["rwkv7.gguf"], [.. header, .. new byte[512]]);
        Checkpoint checkpoint = Checkpoint.Open(folder["rwkv7.gguf"]);
        Assert.Equal(TensorType.F32, Assert.Single(checkpoint.Describe().Tensors).Type);
        Assert.Contains("rwkv7", Assert.Throws<UnsupportedModelException>(() => checkpoint.Describe(WeightType.Q8_0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Folder_and_converted_file_give_bit_identical_logits()
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.Q4_K_M);
        await using BigModel fromFolder = await Capitals.Load(options: Capitals.Small(WeightType.Q4_K_M)), fromFile = await Capitals.Load(folder["model.gguf"]);
        foreach (Capitals.Reference reference in Capitals.References)
            Assert.Equal(await Capitals.Logits(fromFolder, reference.Ids), await Capitals.Logits(fromFile, reference.Ids));
    }

    private static async Task RequireReferences(string path)
    {
        await using BigModel model = await Capitals.Load(path);
        foreach (Capitals.Reference reference in Capitals.References)
        {
            (int[] ids, _) = await Capitals.Run(model, reference.Ids, Capitals.Greedy);
            Assert.Equal(reference.Greedy, ids);
        }
    }

    // As llama-gguf-split does it: all metadata in the first part, the split keys in each.
    private static void Split(string whole, TempFolder folder, int count)
    {
        GgufHeader header = GgufReader.Read(whole);
        byte[] file = File.ReadAllBytes(whole);
        for (int part = 0; part < count; part++)
        {
            var metadata = new GgufMetadata();
            if (part == 0)
                foreach ((string key, object value) in header.Metadata) metadata[key] = value;
            metadata["split.no"] = (ushort)part;
            metadata["split.count"] = (ushort)count;
            metadata["split.tensors.count"] = header.Tensors.Count;
            var tensors = header.Tensors.Where((_, i) => i * count / header.Tensors.Count == part).ToArray();
            (byte[] bytes, long[] offsets) = GgufWriter.Write(metadata, [.. tensors.Select(tensor => tensor.Spec)]);
            using FileStream stream = File.Create(folder[$"part-{part + 1:d5}-of-{count:d5}.gguf"]);
            stream.Write(bytes);
            for (int i = 0; i < tensors.Length; i++)
            {
                stream.Seek(offsets[i], SeekOrigin.Begin);
                stream.Write(file.AsSpan((int)tensors[i].Offset, (int)tensors[i].Spec.Bytes));
            }
            stream.SetLength(GgufWriter.Align(stream.Length));
        }
    }

    private static unsafe int[] Stock(string path, int[] prompt, int count)
    {
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        using LlamaModelHandle model = LlamaModelApi.LlamaModelLoadFromFile(path, parameters);
        Assert.False(model.IsInvalid);
        LlamaContextParams settings = LlamaContextApi.LlamaContextDefaultParams();
        settings.NCtx = 256;
        settings.NThreads = settings.NThreadsBatch = Environment.ProcessorCount;
        using LlamaContextHandle context = LlamaContextHandle.Create(model, settings);
        using LlamaSamplerHandle chain = LlamaSamplerApi.LlamaSamplerChainInit(LlamaSamplerApi.LlamaSamplerChainDefaultParams());
        LlamaSamplerApi.LlamaSamplerChainAdd(chain, LlamaSamplerApi.LlamaSamplerInitGreedy());
        List<int> generated = [];
        for (int[] next = prompt; generated.Count < count; next = [generated[^1]])
        {
            fixed (int* ids = next) Assert.Equal(LlamaDecodeStatus.Success, LlamaContextApi.LlamaDecode(context, new LlamaBatch { NTokens = next.Length, Token = ids }));
            generated.Add(LlamaSamplerApi.LlamaSamplerSample(chain, context, -1));
        }
        return [.. generated];
    }
}
