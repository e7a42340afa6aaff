using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>CodeGen and MOSS: GPT-J whose query, value and key lie together, cut into four for as many processors.</summary>
internal sealed class CodeGen : Architecture
{
    private const int Parts = 4;

    private enum Projection { Query, Value, Key }

    private static readonly TensorMap s_map = new(
    [
        .. GptJTensors.Shared,
        new("blk.{}.attn_q.weight", Part(Projection.Query).Rows(RowOrders.PairsToHalves), DecoderTensors.QueryWeight),
        new("blk.{}.attn_k.weight", Part(Projection.Key).Rows(RowOrders.PairsToHalves), DecoderTensors.KeyWeight),
        new("blk.{}.attn_v.weight", Part(Projection.Value), DecoderTensors.ValueWeight),
    ]);

    public override string Name => "phi2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["CodeGenForCausalLM", "MossForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override string BasePrefix => "transformer.";

    public override bool IsNoWeight(string name, ConfigReader config) => GptJTensors.IsMask(name);

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        ArchitectureReading reading = GptJTensors.Read(config, Name, modelName);
        int heads = reading.Shape.Layers[0].HeadCount;
        return heads % Parts == 0 ? reading : throw config.Error("n_head", $"is {heads} and must be a multiple of {Parts}");
    }

    // transformers' modeling_codegen.py: mp_num parts, in each the queries of some heads, their values, their keys.
    private static WeightRecipe Part(Projection which) => ((WeightRecipe)"transformer.h.{}.attn.qkv_proj.weight").Rows(place =>
    {
        long part = Width(place.Layer) / Parts;
        return row => row / part * 3 * part + (int)which * part + row % part;
    }, place => 3 * Width(place.Layer));

    private static long Width(LayerShape layer) => (long)layer.HeadCount * layer.KeyLength;
}
