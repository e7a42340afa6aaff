using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>GPT-J: Phi's graph, with rotary pairs where that has halves and no biases in attention.</summary>
internal sealed class GptJ : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. GptJTensors.Shared,
        new("blk.{}.attn_q.weight", ((WeightRecipe)"transformer.h.{}.attn.q_proj.weight").Rows(RowOrders.PairsToHalves), DecoderTensors.QueryWeight),
        new("blk.{}.attn_k.weight", ((WeightRecipe)"transformer.h.{}.attn.k_proj.weight").Rows(RowOrders.PairsToHalves), DecoderTensors.KeyWeight),
        new("blk.{}.attn_v.weight", "transformer.h.{}.attn.v_proj.weight", DecoderTensors.ValueWeight),
    ]);

    public override string Name => "phi2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GPTJForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override string BasePrefix => "transformer.";

    public override bool IsNoWeight(string name, ConfigReader config) => GptJTensors.IsMask(name);

    public override ArchitectureReading Read(ConfigReader config, string modelName) => GptJTensors.Read(config, Name, modelName);
}
