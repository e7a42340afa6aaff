using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tests.Golden;

/// <summary>Families that compute what another does from weights in other places: a golden checkpoint is rearranged, and the logits must stay.</summary>
[Collection(EngineGroup.Name)]
public class RearrangedTests
{
    [Fact]
    public async Task InternLM2_is_Llama_with_its_projections_by_group()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("mistral"), folder = new();
        JsonObject config = JsonNode.Parse(File.ReadAllText(source["config.json"]))!.AsObject();
        config["architectures"] = new JsonArray("InternLM2ForCausalLM");
        config["bias"] = false;
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        int heads = (int)config["num_attention_heads"]!, kvHeads = (int)config["num_key_value_heads"]!;
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(source.Path);
        List<(string, string, long[], byte[])> written = [];
        foreach ((string name, (long[] shape, byte[] data)) in weights)
        {
            if (name.Contains("k_proj", StringComparison.Ordinal) || name.Contains("v_proj", StringComparison.Ordinal)) continue;
            if (name.Contains("q_proj", StringComparison.Ordinal))
            {
                byte[] fused = ByGroup(data, weights[name.Replace("q_proj", "k_proj", StringComparison.Ordinal)].Data, weights[name.Replace("q_proj", "v_proj", StringComparison.Ordinal)].Data, kvHeads);
                written.Add((name.Replace("self_attn.q_proj", "attention.wqkv", StringComparison.Ordinal), "F32", [shape[0] / heads * (heads + 2 * kvHeads), shape[1]], fused));
            }
            else written.Add((Rename(name), "F32", shape, data));
        }
        SafetensorsFile.Write(folder["model.safetensors"], written);

        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-9);
    }

    private static string Rename(string name) => name
        .Replace("lm_head", "output", StringComparison.Ordinal).Replace("embed_tokens", "tok_embeddings", StringComparison.Ordinal)
        .Replace("input_layernorm", "attention_norm", StringComparison.Ordinal).Replace("post_attention_layernorm", "ffn_norm", StringComparison.Ordinal)
        .Replace("self_attn.o_proj", "attention.wo", StringComparison.Ordinal).Replace("mlp.gate_proj", "feed_forward.w1", StringComparison.Ordinal)
        .Replace("mlp.down_proj", "feed_forward.w2", StringComparison.Ordinal).Replace("mlp.up_proj", "feed_forward.w3", StringComparison.Ordinal);

    private static byte[] ByGroup(byte[] query, byte[] key, byte[] value, int groups)
    {
        using var fused = new MemoryStream();
        for (int group = 0; group < groups; group++)
        {
            foreach (byte[] part in (byte[][])[query, key, value]) fused.Write(part, part.Length / groups * group, part.Length / groups);
        }
        return fused.ToArray();
    }

    private static Dictionary<string, (long[], byte[])> Read(string folder)
    {
        using var files = new CheckpointFiles();
        return Checkpoint.Open(folder).StoredTensors.ToDictionary(tensor => tensor.Name, tensor =>
        {
            Assert.Equal("F32", tensor.DataType);
            byte[] data = new byte[tensor.Bytes];
            files.Read(tensor.File, tensor.Offset, data);
            return (tensor.Shape.ToArray(), data);
        });
    }
}
