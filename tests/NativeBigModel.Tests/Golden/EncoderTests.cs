using System.Text.Json;
using NativeBigModel.Conversion;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Golden;

/// <summary>Models with an encoder: T5, whose decoder answers it, and BERT, whose vectors are the answer.</summary>
[Collection(EngineGroup.Name)]
public class EncoderTests
{
    private const double Bound = 1e-6;

    [Theory]
    [InlineData("t5", false, OffloadMode.Cpu)]
    [InlineData("t5_gated", true, OffloadMode.Cpu)]
    [InlineData("t5_gated", false, OffloadMode.Stream)]
    [InlineData("t5", true, OffloadMode.Stream)]
    public async Task T5_answers_as_in_transformers_from_folder_and_file(string name, bool oldConfig, OffloadMode mode)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy(name, oldConfig), output = new();
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(folder["reference.json"]));
        JsonElement reference = document.RootElement;
        int[] text = Capitals.Ids(reference.GetProperty("encoder_ids")), answer = Capitals.Ids(reference.GetProperty("decoder_ids")), greedy = Capitals.Ids(reference.GetProperty("greedy"));
        int certain = reference.GetProperty("greedy_margin").EnumerateArray().TakeWhile(margin => margin.GetDouble() >= 0.01).Count();
        await GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), output["f32.gguf"], WeightType.F32);
        foreach ((string path, WeightType type) in ((string, WeightType)[])[(folder.Path, WeightType.F32), (output["f32.gguf"], WeightType.AsStored)])
        {
            await using BigModel model = await BigModel.LoadAsync(path, Options(type, mode));
            Assert.Equal(mode == OffloadMode.Stream, model.Plan.Streams);
            List<float> logits = [];
            await foreach (float[] row in model.ComputeLogitsAsync(text, answer)) logits.AddRange(row);
            Assert.InRange(Nmse.Of(Nmse.ReadFloats(folder["logits.f32"]), logits.ToArray()), 0, Bound);
            // The decoder's own first token, and one that is given.
            foreach (int[] start in (int[][])[[], [reference.GetProperty("decoder_start").GetInt32()]])
            {
                var options = new GenerateOptions { Temperature = 0, MaxNewTokens = greedy.Length, IgnoreEndOfGeneration = true, AnswerStart = [.. start] };
                (int[] generated, _) = await Capitals.Run(model, text, options);
                Assert.Equal(greedy.Take(certain), generated.Take(certain));
            }
            Assert.Throws<InvalidOptionException>(() => model.ComputeLogitsAsync(answer));
            Assert.Throws<InvalidOptionException>(() => model.ComputeLogitsAsync([.. Enumerable.Repeat(5, model.Plan.ContextLength + 1)], answer));
        }
    }

    // Streamed, a layer of the decoder is brought once a token and the encoder's once a text.
    [Fact]
    public async Task Generating_streams_the_decoder_alone()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy("t5");
        await using BigModel model = await BigModel.LoadAsync(folder.Path, Options(WeightType.F32, OffloadMode.Stream) with { RingLayers = 2 });
        async Task<long> Bytes(int tokens)
        {
            long before = model.Streaming!.BytesFromHost;
            await Capitals.Run(model, [3, 6, 24, 1], new() { Temperature = 0, MaxNewTokens = tokens, IgnoreEndOfGeneration = true });
            return model.Streaming!.BytesFromHost - before;
        }
        await Bytes(2);
        long decoder = model.Checkpoint.Describe(WeightType.F32).Tensors.Where(tensor => tensor.Name.StartsWith("dec.", StringComparison.Ordinal) || tensor.IsOutput).Sum(tensor => tensor.Bytes);
        long encoder = model.Checkpoint.Describe(WeightType.F32).Tensors.Where(tensor => tensor.Name.StartsWith("enc.blk", StringComparison.Ordinal)).Sum(tensor => tensor.Bytes);
        long few = await Bytes(4), many = await Bytes(14);
        // What the ring is being filled with as a text ends belongs to one measurement or the other.
        Assert.InRange(many - few, 0, 10 * decoder + encoder / 2 + 2 * model.Streaming!.RingBytes);
    }

    [Fact]
    public async Task A_T5_whose_bias_stands_once_is_read_as_other_converters_write_it()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy("t5_gated"), output = new();
        ModelDefinition ours = Checkpoint.Open(folder.Path).Define(WeightType.F32);
        ModelTensor first = ours.Tensors.First(tensor => tensor.Spec.Name == "dec.blk.0.attn_rel_b.weight");
        GgufFile.Write(output["theirs.gguf"], ours.Metadata,
        [
            .. ours.Tensors.Where(tensor => !tensor.Spec.Name.EndsWith("1.attn_rel_b.weight", StringComparison.Ordinal)),
            first with { Spec = first.Spec with { Name = "dec.blk.0.cross_attn_rel_b.weight" } },
        ], null, CancellationToken.None);
        Assert.Equal(ours.Shape.Tensors.Select(tensor => tensor.Name).Order(), Checkpoint.Open(output["theirs.gguf"]).Describe().Tensors.Select(tensor => tensor.Name).Order());
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(folder["reference.json"]));
        await using BigModel model = await BigModel.LoadAsync(output["theirs.gguf"], Options(WeightType.AsStored, OffloadMode.Cpu));
        List<float> logits = [];
        await foreach (float[] row in model.ComputeLogitsAsync(Capitals.Ids(reference.RootElement.GetProperty("encoder_ids")), Capitals.Ids(reference.RootElement.GetProperty("decoder_ids")))) logits.AddRange(row);
        Assert.InRange(Nmse.Of(Nmse.ReadFloats(folder["logits.f32"]), logits.ToArray()), 0, Bound);
    }

    [Theory]
    [InlineData("num_decoder_layers", "3")]
    [InlineData("relative_attention_max_distance", "64")]
    [InlineData("relative_attention_num_buckets", "512")]
    [InlineData("feed_forward_proj", "\"gated-silu\"")]
    public void What_the_graph_of_T5_does_not_compute_is_refused_by_name(string key, string value)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy("t5");
        System.Text.Json.Nodes.JsonObject config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(folder["config.json"]))!.AsObject();
        config[key] = System.Text.Json.Nodes.JsonNode.Parse(value);
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        Assert.Contains(key, Assert.ThrowsAny<BigModelException>(() => Checkpoint.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task BERT_gives_the_vectors_of_transformers(bool oldConfig)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy("bert", oldConfig), output = new();
        Directory.CreateDirectory(folder["1_Pooling"]);
        File.Copy(Path.Combine(TestFolders.Golden, "bert", "1_Pooling", "config.json"), folder["1_Pooling/config.json"]);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(folder["reference.json"]));
        JsonElement expected = document.RootElement.GetProperty("embedding");
        int[] ids = Capitals.Ids(document.RootElement.GetProperty("logits_ids"));
        await GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), output["f32.gguf"], WeightType.F32);
        foreach (string path in (string[])[folder.Path, output["f32.gguf"]])
        {
            await using EmbeddingModel model = await EmbeddingModel.LoadAsync(path, new() { FlashAttention = false });
            Assert.Equal((Pooling.Mean, 64), (model.DefaultPooling, model.Length));
            Assert.Equal(0, model.Plan.KvBytes);
            float[][] vectors = await model.ComputeVectorsAsync(ids);
            Assert.InRange(Nmse.Of(Nmse.ReadFloats(folder["logits.f32"]), [.. vectors.SelectMany(vector => vector)]), 0, Bound);
            foreach ((string name, Pooling? pooling, bool normalize) in ((string, Pooling?, bool)[])[("mean", null, false), ("cls", Pooling.Cls, false), ("mean_l2", null, true), ("cls_l2", Pooling.Cls, true)])
            {
                float[] vector = [.. expected.GetProperty(name).EnumerateArray().Select(value => value.GetSingle())];
                float[] computed = await model.EmbedAsync(ids, pooling, normalize);
                Assert.InRange(Nmse.Of(vector, computed), 0, Bound);
            }
            Assert.Equal(vectors[^1], await model.EmbedAsync(ids, Pooling.Last));
            Assert.Equal(await model.EmbedAsync(model.Tokenizer.Encode("a b")), await model.EmbedAsync("a b"));
        }
        Assert.Contains("embed", (await Assert.ThrowsAsync<UnsupportedModelException>(() => BigModel.LoadAsync(folder.Path))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_decoder_gives_vectors_too()
    {
        await using EmbeddingModel model = await EmbeddingModel.LoadAsync(TestFolders.Capitals, Capitals.Small() with { BatchSize = 4 });
        int[] ids = model.Tokenizer.Encode("The capital of France is");
        float[][] vectors = await model.ComputeVectorsAsync(ids);
        Assert.Equal((ids.Length, Pooling.Last), (vectors.Length, model.DefaultPooling));
        Assert.Equal(vectors[^1], await model.EmbedAsync(ids));
        // What comes later changes nothing before it.
        float[][] shorter = await model.ComputeVectorsAsync(ids[..3]);
        Assert.InRange(Nmse.Of(vectors[2], shorter[2]), 0, 1e-4);
    }

    private static PlanOptions Options(WeightType type, OffloadMode mode) =>
        new() { WeightType = type, KvType = TensorType.F32, FlashAttention = false, Offload = mode, MaxMemory = mode == OffloadMode.Stream ? null : new() { Host = 1 << 30 } };
}
