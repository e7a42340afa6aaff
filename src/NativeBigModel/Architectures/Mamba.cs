using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>Mamba 1: state spaces in place of attention.</summary>
internal sealed class Mamba : Architecture
{
    // It has none: what llama.cpp's own conversion names, for lack of a limit.
    private const int Context = 1 << 20;

    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "backbone.embeddings.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "backbone.norm_f.weight", DecoderTensors.Embedding),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        new("blk.{}.attn_norm.weight", "backbone.layers.{}.norm.weight", DecoderTensors.Embedding),
        new("blk.{}.ssm_in.weight", "backbone.layers.{}.mixer.in_proj.weight", (model, layer) => [model.EmbeddingLength, 2L * layer.State!.InnerLength]),
        new("blk.{}.ssm_conv1d.weight", "backbone.layers.{}.mixer.conv1d.weight", (_, layer) => [layer.State!.Kernel, layer.State.InnerLength]),
        .. DecoderTensors.BiasOrZero("blk.{}.ssm_conv1d.bias", "backbone.layers.{}.mixer.conv1d.bias", Inner, config => config.OptionalBool("use_conv_bias") ?? true),
        new("blk.{}.ssm_x.weight", "backbone.layers.{}.mixer.x_proj.weight", (_, layer) => [layer.State!.InnerLength, layer.State.StepRank + 2L * layer.State.StateLength]),
        new("blk.{}.ssm_dt.weight", "backbone.layers.{}.mixer.dt_proj.weight", (_, layer) => [layer.State!.StepRank, layer.State.InnerLength]),
        new("blk.{}.ssm_dt.bias", "backbone.layers.{}.mixer.dt_proj.bias", Inner),
        new("blk.{}.ssm_a", ((WeightRecipe)"backbone.layers.{}.mixer.A_log").Through(ComputedSource.MinusExp), (_, layer) => [layer.State!.StateLength, layer.State.InnerLength]),
        new("blk.{}.ssm_d", "backbone.layers.{}.mixer.D", Inner),
        new("blk.{}.ssm_out.weight", "backbone.layers.{}.mixer.out_proj.weight", (model, layer) => [layer.State!.InnerLength, model.EmbeddingLength]),
    ]);

    public override string Name => "mamba";

    public override IReadOnlyList<string> HuggingFaceClasses => ["MambaForCausalLM", "MambaLMHeadModel"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "backbone.";

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        int Length(string key, int byDefault) => config.OptionalInt(key, 1, DecoderConfig.MaxExtent) ?? byDefault;
        if (config.OptionalBool("use_bias") ?? false) throw new UnsupportedModelException("config.json: use_bias: llama.cpp's mamba graph has no biases on the projections");
        if (config.OptionalString("hidden_act") is { } activation and not ("silu" or "swish")) throw new UnsupportedModelException($"config.json: hidden_act: '{activation}' is not what llama.cpp's mamba graph computes, silu is");
        int width = config.Int(config.FirstOf("hidden_size", "d_model"), 1, DecoderConfig.MaxExtent);
        int inner = config.OptionalInt(config.FirstOf("intermediate_size", "d_inner"), 1, DecoderConfig.MaxExtent) ?? checked(Length("expand", 2) * width);
        if (inner != 2L * width) throw new UnsupportedModelException($"config.json: intermediate_size: is {inner}, and llama.cpp's mamba graph has twice hidden_size, {2L * width}");
        // The rank may be "auto".
        int rank = config.IsNumber("time_step_rank") ? Length("time_step_rank", 1) : (width + 15) / 16;
        var state = new StateSpace(Length("conv_kernel", 4), inner, Length("state_size", 16), rank);
        int layers = DecoderConfig.LayerCount(config);
        var shape = new ModelShape
        {
            Architecture = Name,
            Name = modelName,
            EmbeddingLength = width,
            VocabularySize = config.Int("vocab_size", 1, DecoderConfig.MaxExtent),
            ContextLength = Context,
            Layers = [.. Enumerable.Repeat(new LayerShape(0, 0, 0, 0, 0) { State = state }, layers)],
        };
        return new ArchitectureReading(shape, [])
            .With("block_count", (uint)layers).With("context_length", (uint)Context).With("embedding_length", (uint)width).With("feed_forward_length", 0u)
            .With("attention.head_count", 0u).With("vocab_size", (uint)shape.VocabularySize)
            .With("attention.layer_norm_rms_epsilon", config.OptionalFloat("layer_norm_epsilon", 1e-30f, 1) ?? 1e-5f)
            .With("ssm.conv_kernel", (uint)state.Kernel).With("ssm.inner_size", (uint)inner).With("ssm.state_size", (uint)state.StateLength).With("ssm.time_step_rank", (uint)rank);
    }

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys)
    {
        int Key(string name) => keys.Int($"{Name}.ssm.{name}", 1, DecoderConfig.MaxExtent) ?? throw keys.Error($"{Name}.ssm.{name}", "is missing");
        return layer with { State = new(Key("conv_kernel"), Key("inner_size"), Key("state_size"), Key("time_step_rank")) };
    }

    private static long[] Inner(ModelShape _, LayerShape layer) => [layer.State!.InnerLength];
}
