using System.Text.Json;
using NativeBigModel.Architectures;
using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Golden;

/// <summary>Keys as published configurations have them, and what llama.cpp is told; what transformers makes of them is in its configuration and modeling files.</summary>
public class PublishedConfigTests
{
    private const string Shape = """ "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100, "max_position_embeddings": 512 """;

    // SmolLM3Config: without a list, a window is for the layers that have no rotary positions.
    [Theory]
    [InlineData("", "0 0 0 1 0")]
    [InlineData(""" "layer_types": ["sliding_attention", "full_attention", "full_attention", "full_attention", "sliding_attention"], """, "1 0 0 0 1")]
    [InlineData(""" "no_rope_layers": [1, 0, 1, 0, 1, 0, 1], """, "0 1 0 1 0")]
    public void A_window_of_SmolLM3_is_where_its_configuration_puts_it(string keys, string windows)
    {
        ArchitectureReading reading = Read($$""" { "architectures": ["SmolLM3ForCausalLM"], {{keys}} "num_hidden_layers": 5, "use_sliding_window": true, "sliding_window": 16, {{Shape}} } """);
        Assert.Equal("granite_swa", reading.Shape.Architecture);
        Assert.Equal(windows, Windows(reading));
    }

    [Fact]
    public void A_window_of_SmolLM3_that_has_no_length_is_none() =>
        Assert.Equal("smollm3", Read($$""" { "architectures": ["SmolLM3ForCausalLM"], "num_hidden_layers": 5, "use_sliding_window": true, "sliding_window": null, {{Shape}} } """).Shape.Architecture);

    // llama.cpp aborts where a graph with windows has a layer with none.
    [Theory]
    [InlineData("SmolLM3ForCausalLM", """ "no_rope_layer_interval": 2 """, "granite_swa")]
    [InlineData("Gemma2ForCausalLM", """ "layer_types": ["full_attention", "full_attention", "full_attention"] """, "gemma2")]
    public void Where_no_layer_has_a_window_all_have_one_that_no_token_reaches(string family, string keys, string graph)
    {
        ArchitectureReading reading = Read($$""" { "architectures": ["{{family}}"], {{keys}}, "num_hidden_layers": 3, {{Shape}} } """);
        Assert.Equal(graph, reading.Shape.Architecture);
        Assert.Equal("1 1 1", Windows(reading));
        Assert.All(reading.Shape.Layers, layer => Assert.Equal(512, layer.SlidingWindow));
    }

    [Fact]
    public void Gemma_3_without_windows_has_none() => Assert.Null(
        Read($$""" { "architectures": ["Gemma3ForCausalLM"], "num_hidden_layers": 3, "sliding_window_pattern": 1, {{Shape}} } """).Metadata.Find("gemma3.attention.sliding_window"));

    // EXAONE-4.0-32B has letters, and layer_types beside them.
    [Theory]
    [InlineData(""" "sliding_window_pattern": "LLLG" """)]
    [InlineData(""" "sliding_window_pattern": 4 """)]
    [InlineData(""" "sliding_window_pattern": null """)]
    public void The_pattern_of_EXAONE_4_may_be_letters(string pattern)
    {
        ArchitectureReading reading = Read($$""" { "architectures": ["Exaone4ForCausalLM"], "num_hidden_layers": 64, "sliding_window": 16, {{pattern}}, {{Shape}} } """);
        Assert.Equal(string.Join(' ', Enumerable.Repeat("1 1 1 0", 16)), Windows(reading));
    }

    // MPT-7B-StoryWriter has 16, which transformers' class does not read.
    [Theory]
    [InlineData("MPTForCausalLM", 16f)]
    [InlineData("MptForCausalLM", 8f)]
    public void Slopes_of_MPT_are_those_of_the_code_that_runs_it(string family, float expected) =>
        Assert.Equal(expected, Read($$"""
            { "architectures": ["{{family}}"], "d_model": 64, "n_heads": 4, "n_layers": 2, "vocab_size": 100, "max_seq_len": 512, "attn_config": { "alibi": true, "alibi_bias_max": 16 } }
            """).Metadata.Find("mpt.attention.max_alibi_bias"));

    [Theory]
    [InlineData(""" "attn_config": { "alibi": true, "attn_type": "multiquery_attention" } """, "attn_type")]
    [InlineData(""" "norm_type": "rmsnorm" """, "norm_type")]
    public void An_MPT_that_the_graph_is_not_is_refused(string keys, string named) => Assert.Contains(named, Assert.Throws<UnsupportedModelException>(() =>
        Read($$""" { "architectures": ["MPTForCausalLM"], "d_model": 64, "n_heads": 4, "n_layers": 2, "vocab_size": 100, "max_seq_len": 512, {{keys}} } """)).Message, StringComparison.Ordinal);

    // RefinedWeb's configuration of Falcon 40B, from before the class had its name.
    [Fact]
    public void Falcon_with_key_heads_is_the_newer_form() => Assert.Equal(8, Read("""
        { "architectures": ["RWForCausalLM"], "hidden_size": 1024, "n_head": 16, "n_head_kv": 8, "n_layer": 2, "vocab_size": 100, "alibi": false, "bias": false, "parallel_attn": true }
        """).Shape.Layers[0].KvHeadCount);

    // google/gemma-3-4b-it: heads and vocabulary are those of the class.
    [Fact]
    public void The_text_part_of_Gemma_3_is_completed_by_its_class()
    {
        ModelShape shape = Read("""
            { "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "vision_config": { "hidden_size": 1152 }, "text_config": { "model_type": "gemma3_text",
              "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "rope_scaling": { "factor": 8.0, "rope_type": "linear" }, "sliding_window": 1024 } }
            """).Shape;
        Assert.Equal((262208, 8, 4, 256, 131072), (shape.VocabularySize, shape.Layers[0].HeadCount, shape.Layers[0].KvHeadCount, shape.Layers[0].KeyLength, shape.ContextLength));
    }

    [Fact]
    public void A_text_part_of_another_type_is_refused() => Assert.Contains("ministral3", Assert.Throws<UnsupportedModelException>(() =>
        Read("""{ "architectures": ["Mistral3ForConditionalGeneration"], "text_config": { "model_type": "ministral3" } }""")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("partial_rotary_factor")]
    [InlineData("rope_pct")]
    public void The_rotary_share_of_StableLM_has_two_names(string key) =>
        Assert.Equal(8u, Read($$""" { "architectures": ["StableLMEpochForCausalLM"], "num_hidden_layers": 2, "{{key}}": 0.5, {{Shape}} } """).Metadata.Find("stablelm.rope.dimension_count"));

    // llama.cpp tells models without compressed queries by the number of their layers.
    [Theory]
    [InlineData(27, "null", false)]
    [InlineData(27, "24", true)]
    [InlineData(26, "24", true)]
    [InlineData(28, "24", false)]
    public void Queries_of_DeepSeek_that_the_graph_would_not_read_are_refused(int layers, string rank, bool refused)
    {
        string json = $$"""
            { "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 100, "num_hidden_layers": {{layers}},
              "q_lora_rank": {{rank}}, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1 }
            """;
        if (refused) Assert.Contains("q_lora_rank", Assert.Throws<UnsupportedModelException>(() => Read(json)).Message, StringComparison.Ordinal);
        else Assert.Equal(layers, Read(json).Shape.Layers.Length);
    }

    private static string Windows(ArchitectureReading reading) =>
        string.Join(' ', ((bool[])reading.Metadata.Find($"{reading.Shape.Architecture}.attention.sliding_window_pattern")!).Select(windowed => windowed ? 1 : 0));

    private static ArchitectureReading Read(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        ConfigReader config = TextPart.Of(new ConfigReader("config.json", "", document.RootElement.Clone()));
        return ArchitectureRegistry.ForHuggingFace(config).Read(config, "model");
    }
}
