using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>BERT: an encoder with learned positions and norms behind its blocks, for embeddings. A text is one segment, the first.</summary>
internal sealed class Bert : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "bert.embeddings.word_embeddings.weight", DecoderTensors.Vocabulary),
        new("position_embd.weight", "bert.embeddings.position_embeddings.weight", (model, _) => [model.EmbeddingLength, model.ContextLength]),
        new("token_types.weight", "bert.embeddings.token_type_embeddings.weight", (model, _) => [model.EmbeddingLength, model.TokenTypeCount]),
        .. BiasedTensors.Norm("token_embd_norm", "bert.embeddings.LayerNorm"),
        .. BiasedTensors.Linear("blk.{}.attn_q", "bert.encoder.layer.{}.attention.self.query", DecoderTensors.QueryWeight),
        .. BiasedTensors.Linear("blk.{}.attn_k", "bert.encoder.layer.{}.attention.self.key", DecoderTensors.KeyWeight),
        .. BiasedTensors.Linear("blk.{}.attn_v", "bert.encoder.layer.{}.attention.self.value", DecoderTensors.ValueWeight),
        .. BiasedTensors.Linear("blk.{}.attn_output", "bert.encoder.layer.{}.attention.output.dense", DecoderTensors.AttentionOut),
        .. BiasedTensors.Norm("blk.{}.attn_output_norm", "bert.encoder.layer.{}.attention.output.LayerNorm"),
        .. BiasedTensors.Linear("blk.{}.ffn_up", "bert.encoder.layer.{}.intermediate.dense", DecoderTensors.FeedForwardIn),
        .. BiasedTensors.Linear("blk.{}.ffn_down", "bert.encoder.layer.{}.output.dense", DecoderTensors.FeedForwardOut),
        .. BiasedTensors.Norm("blk.{}.layer_output_norm", "bert.encoder.layer.{}.output.LayerNorm"),
    ]);

    public override string Name => "bert";

    public override IReadOnlyList<string> HuggingFaceClasses => ["BertModel", "BertForMaskedLM", "BertForPreTraining"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "bert.";

    public override GraphTraits Graph => new() { Kind = ModelKind.Encoder, AsWideAsModel = true };

    // What is behind the last layer: embeddings are made without it.
    public override bool IsNoWeight(string name, ConfigReader config) =>
        name.StartsWith("cls.", StringComparison.Ordinal) || name.Contains("pooler.dense.", StringComparison.Ordinal) || name.EndsWith("embeddings.position_ids", StringComparison.Ordinal);

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (config.OptionalString("position_embedding_type") is { } positions and not "absolute")
            throw new UnsupportedModelException($"config.json: position_embedding_type: '{positions}' is not what llama.cpp's bert graph computes, absolute is");
        if (config.OptionalBool("is_decoder") ?? false) throw new UnsupportedModelException("config.json: is_decoder: true is not what llama.cpp's bert graph computes, false is");
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_eps", 1e-12f),
            LayerNorm = true,
            Activations = Activation.Gelu,
            Context = 512,
            RotaryShare = 0,
        }.Read().With("attention.causal", false);
        int types = config.OptionalInt("type_vocab_size", 1, DecoderConfig.MaxExtent) ?? 2;
        reading.Metadata["tokenizer.ggml.token_type_count"] = (uint)types;
        return reading with { Shape = reading.Shape with { Kind = ModelKind.Encoder, TokenTypeCount = types } };
    }
}
