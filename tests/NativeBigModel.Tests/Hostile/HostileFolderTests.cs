using System.Text;
using System.Text.Json.Nodes;

namespace NativeBigModel.Tests.Hostile;

/// <summary>Malformed config.json, model.safetensors.index.json and safetensors files; tokenizer files have their own tests.</summary>
public class HostileFolderTests
{
    private const string Config = "config.json";
    private const string Q = "model.layers.1.self_attn.q_proj.weight";

    public static TheoryData<string> Configs() => [.. s_configs.Keys];

    public static TheoryData<string> ConfigBytes() => [.. s_configBytes.Keys];

    public static TheoryData<string> Indexes() => [.. s_indexes.Keys];

    public static TheoryData<string> Headers() => [.. s_headers.Keys];

    public static TheoryData<string> Files() => [.. s_files.Keys];

    [Fact]
    public void The_unspoilt_folder_opens()
    {
        foreach (Dictionary<string, byte[]> files in (Dictionary<string, byte[]>[])[TinyCheckpoint.Files(), TinyCheckpoint.SentencePieceFiles()])
        {
            using var folder = new HostileFolder(files);
            Checkpoint checkpoint = Checkpoint.Open(folder.Path);
            Assert.True(checkpoint.HasWeights);
            Assert.Equal(TinyCheckpoint.Tensors().Count(), checkpoint.Describe().Tensors.Length);
        }
    }

    [Theory]
    [MemberData(nameof(Configs))]
    public void A_hostile_config_json_is_refused(string row)
    {
        (Action<JsonObject> spoil, string[] parts) = s_configs[row];
        JsonObject config = TinyCheckpoint.Config();
        spoil(config);
        Refused(Config, TinyCheckpoint.Utf8(config), parts.Any(part => part.EndsWith(".json", StringComparison.Ordinal) || part.EndsWith(".safetensors", StringComparison.Ordinal)) ? parts : [Config, .. parts]);
    }

    [Theory]
    [MemberData(nameof(ConfigBytes))]
    public void A_config_json_that_no_serialiser_writes_is_refused(string row)
    {
        (Func<string, byte[]> spoil, string[] parts) = s_configBytes[row];
        Refused(Config, spoil(TinyCheckpoint.Config().ToJsonString()), [Config, .. parts]);
    }

    [Theory]
    [MemberData(nameof(Indexes))]
    public void A_hostile_index_json_is_refused(string row)
    {
        (Action<JsonObject> spoil, string[] parts) = s_indexes[row];
        JsonObject index = JsonNode.Parse(TinyCheckpoint.Files()[TinyCheckpoint.Index])!.AsObject();
        spoil(index);
        Refused(TinyCheckpoint.Index, TinyCheckpoint.Utf8(index), [TinyCheckpoint.Index, .. parts]);
    }

    [Theory]
    [MemberData(nameof(Headers))]
    public void A_hostile_safetensors_header_is_refused(string row)
    {
        (Func<JsonObject, string?> spoil, string[] parts) = s_headers[row];
        RawSafetensors file = Second();
        JsonObject header = JsonNode.Parse(file.Header)!.AsObject();
        string? text = spoil(header);
        Refused(TinyCheckpoint.Second, (file with { Header = text ?? header.ToJsonString() }).ToBytes(), [TinyCheckpoint.Second, .. parts]);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_hostile_safetensors_file_is_refused(string row)
    {
        (Func<RawSafetensors, byte[]> spoil, string[] parts) = s_files[row];
        Refused(TinyCheckpoint.Second, spoil(Second()), [TinyCheckpoint.Second, .. parts]);
    }

    [Fact]
    public void A_safetensors_file_is_refused_wherever_it_is_cut_off()
    {
        RawSafetensors small = RawSafetensors.Of([("a", [2]), ("b", [3, 1])]);
        byte[] whole = small.ToBytes();
        using var folder = new HostileFolder(new Dictionary<string, byte[]> { [Config] = TinyCheckpoint.Utf8(TinyCheckpoint.Config()) });
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(folder.In("model.safetensors"), whole[..length]);
            Refusal.Of(folder.Path, "model.safetensors");
        }
    }

    [Theory]
    [InlineData(Config)]
    [InlineData(TinyCheckpoint.Index)]
    [InlineData("tokenizer.json")]
    public void A_json_file_is_refused_wherever_it_is_cut_off(string name)
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.Files();
        byte[] whole = files[name];
        using var folder = new HostileFolder(files);
        for (int length = 0; length < whole.Length; length += Math.Max(1, whole.Length / 300))
        {
            File.WriteAllBytes(folder.In(name), whole[..length]);
            Refusal.Of(folder.Path, name);
        }
    }

    [Fact]
    public void A_shard_that_is_no_safetensors_file_is_refused_by_its_own_name()
    {
        JsonObject index = JsonNode.Parse(TinyCheckpoint.Files()[TinyCheckpoint.Index])!.AsObject();
        index["weight_map"]!["quux"] = "tokenizer.json";
        Refused(TinyCheckpoint.Index, TinyCheckpoint.Utf8(index), ["tokenizer.json", "header length"]);
    }

    [Fact]
    public void A_shard_that_is_a_folder_is_refused()
    {
        using var folder = new HostileFolder(TinyCheckpoint.Files());
        File.Delete(folder.In(TinyCheckpoint.Second));
        Directory.CreateDirectory(folder.In(TinyCheckpoint.Second));
        Refusal.Of(folder.Path, TinyCheckpoint.Index, TinyCheckpoint.Second);
    }

    [Fact]
    public void A_configuration_that_is_a_folder_is_refused()
    {
        using var folder = new HostileFolder(TinyCheckpoint.Files());
        File.Delete(folder.In(Config));
        Directory.CreateDirectory(folder.In(Config));
        Refusal.Of(folder.Path, Config);
    }

    [Fact]
    public void A_folder_without_a_configuration_is_refused()
    {
        using var folder = new HostileFolder(TinyCheckpoint.Files());
        File.Delete(folder.In(Config));
        Refusal.Of(folder.Path, Config);
    }

    [Fact]
    public void Many_tiny_tensors_cost_no_square()
    {
        // A header of about 20 MB: quadratic work on it would take hours.
        const int count = 200_000;
        var header = new StringBuilder("{");
        for (int i = 0; i < count; i++) header.Append(null, $"{(i == 0 ? "" : ",")}\"tensor.{i}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{i},{i + 1}]}}");
        Dictionary<string, byte[]> files = TinyCheckpoint.Files();
        files.Remove(TinyCheckpoint.Index);
        files.Remove(TinyCheckpoint.First);
        files.Remove(TinyCheckpoint.Second);
        files["model.safetensors"] = new RawSafetensors(header.Append('}').ToString(), new byte[count]).ToBytes();
        using var folder = new HostileFolder(files);
        Refusal.Of(folder.Path, "model.safetensors", "model.embed_tokens.weight");
    }

    private static RawSafetensors Second() => RawSafetensors.Of(TinyCheckpoint.Tensors().Where(tensor => tensor.Name.Contains(".1.", StringComparison.Ordinal)));

    private static void Refused(string file, byte[] bytes, IEnumerable<string> parts)
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.Files();
        files[file] = bytes;
        using var folder = new HostileFolder(files);
        Refusal.Of(folder.Path, parts);
    }

    private static readonly Dictionary<string, (Action<JsonObject>, string[])> s_configs = new()
    {
        ["no architectures"] = (json => json.Remove("architectures"), ["architectures"]),
        ["architectures empty"] = (json => json["architectures"] = new JsonArray(), ["architectures"]),
        ["architectures a string"] = (json => json["architectures"] = "LlamaForCausalLM", ["architectures"]),
        ["architectures of numbers"] = (json => json["architectures"] = new JsonArray(1), ["architectures", "1"]),
        ["architecture unknown"] = (json => json["architectures"] = new JsonArray("Quux"), ["Quux"]),
        ["architecture with an escape and line breaks"] = (json => json["architectures"] = new JsonArray("a\u001b[2J\r\nb\u2028c\u202ed"), ["architectures"]),
        ["architecture of a megabyte"] = (json => json["architectures"] = new JsonArray(new string('x', 1 << 20)), ["architectures"]),
        ["hidden_size missing"] = (json => json.Remove("hidden_size"), ["hidden_size", "missing"]),
        ["hidden_size null"] = (json => json["hidden_size"] = null, ["hidden_size", "missing"]),
        ["hidden_size a string"] = (json => json["hidden_size"] = "16", ["hidden_size", "\"16\""]),
        ["hidden_size a list"] = (json => json["hidden_size"] = new JsonArray(16), ["hidden_size"]),
        ["hidden_size an object"] = (json => json["hidden_size"] = new JsonObject(), ["hidden_size"]),
        ["hidden_size true"] = (json => json["hidden_size"] = true, ["hidden_size"]),
        ["hidden_size 0"] = (json => json["hidden_size"] = 0, ["hidden_size", "0"]),
        ["hidden_size negative"] = (json => json["hidden_size"] = -16, ["hidden_size", "-16"]),
        ["hidden_size a fraction"] = (json => json["hidden_size"] = 16.5, ["hidden_size", "16.5"]),
        ["hidden_size huge"] = (json => json["hidden_size"] = 1L << 40, ["hidden_size", "1099511627776"]),
        ["hidden_size of other tensors"] = (json => json["hidden_size"] = 32, []),
        ["heads 0"] = (json => json["num_attention_heads"] = 0, ["num_attention_heads", "0"]),
        ["heads that do not divide"] = (json => { json["num_attention_heads"] = 3; json["num_key_value_heads"] = 3; json.Remove("head_dim"); }, ["num_attention_heads", "3", "16"]),
        ["kv heads 0"] = (json => json["num_key_value_heads"] = 0, ["num_key_value_heads", "0"]),
        ["kv heads that do not divide"] = (json => json["num_key_value_heads"] = 3, ["num_key_value_heads", "3", "4"]),
        ["kv heads beyond the heads"] = (json => json["num_key_value_heads"] = 8, ["num_key_value_heads", "8", "4"]),
        ["head_dim odd"] = (json => json["head_dim"] = 3, ["head_dim", "3"]),
        ["head_dim negative"] = (json => json["head_dim"] = -4, ["head_dim", "-4"]),
        ["heads of 1 element"] = (json => { json["num_attention_heads"] = 16; json["num_key_value_heads"] = 16; json.Remove("head_dim"); }, ["head_dim", "1"]),
        ["layers 0"] = (json => json["num_hidden_layers"] = 0, ["num_hidden_layers", "0"]),
        ["layers 513"] = (json => json["num_hidden_layers"] = 513, ["num_hidden_layers", "513", "512"]),
        ["layers 10^9"] = (json => json["num_hidden_layers"] = 1_000_000_000, ["num_hidden_layers", "1000000000", "512"]),
        ["layers that are not there"] = (json => json["num_hidden_layers"] = 3, [TinyCheckpoint.Index, "model.layers.2."]),
        ["layers fewer than there are"] = (json => json["num_hidden_layers"] = 1, [TinyCheckpoint.Second, "model.layers.1."]),
        ["intermediate_size negative"] = (json => json["intermediate_size"] = -1, ["intermediate_size", "-1"]),
        ["vocab_size 0"] = (json => json["vocab_size"] = 0, ["vocab_size", "0"]),
        ["vocab_size 2^31"] = (json => json["vocab_size"] = 1L << 31, ["vocab_size", "2147483648"]),
        ["context 0"] = (json => json["max_position_embeddings"] = 0, ["max_position_embeddings", "0"]),
        ["context 2^40"] = (json => json["max_position_embeddings"] = 1L << 40, ["max_position_embeddings", "1099511627776"]),
        ["eps negative"] = (json => json["rms_norm_eps"] = -1e-5, ["rms_norm_eps"]),
        ["eps 0"] = (json => json["rms_norm_eps"] = 0, ["rms_norm_eps", "0"]),
        ["eps a string"] = (json => json["rms_norm_eps"] = "1e-5", ["rms_norm_eps"]),
        ["theta 0"] = (json => json["rope_theta"] = 0, ["rope_theta", "0"]),
        ["theta a string"] = (json => json["rope_theta"] = "NaN", ["rope_theta", "NaN"]),
        ["rope_scaling a string"] = (json => json["rope_scaling"] = "linear", ["rope_scaling"]),
        ["rope_scaling a list"] = (json => json["rope_scaling"] = new JsonArray(), ["rope_scaling"]),
        ["rope type a number"] = (json => json["rope_scaling"] = new JsonObject { ["rope_type"] = 1 }, ["rope_type"]),
        ["rope type unknown"] = (json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "quux" }, ["quux"]),
        ["rope factor 0"] = (json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "linear", ["factor"] = 0 }, ["factor", "0"]),
        ["rope factor a string"] = (json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "linear", ["factor"] = "2" }, ["factor"]),
        ["llama3 factors missing"] = (json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "llama3", ["factor"] = 8 }, ["low_freq_factor"]),
        ["llama3 factors equal"] = (json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "llama3", ["factor"] = 8, ["low_freq_factor"] = 2, ["high_freq_factor"] = 2 }, ["high_freq_factor", "2"]),
        ["yarn corner negative"] = (json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "yarn", ["factor"] = 8, ["beta_fast"] = -1 }, ["beta_fast", "-1"]),
        ["quantization_config a string"] = (json => json["quantization_config"] = "gptq", ["quantization_config"]),
        ["quantization_config a list"] = (json => json["quantization_config"] = new JsonArray(), ["quantization_config"]),
        ["quantization method a number"] = (json => json["quantization_config"] = new JsonObject { ["quant_method"] = 4 }, ["quant_method"]),
        ["quantization method of a megabyte"] = (json => json["quantization_config"] = new JsonObject { ["quant_method"] = new string('x', 1 << 20) }, ["quantization_config"]),
        ["activation unknown"] = (json => json["hidden_act"] = "gelu", ["hidden_act", "gelu"]),
        ["activation a number"] = (json => json["hidden_act"] = 1, ["hidden_act"]),
        ["tied a string"] = (json => json["tie_word_embeddings"] = "yes", ["tie_word_embeddings"]),
        ["bias a number"] = (json => json["attention_bias"] = 1, ["attention_bias"]),
        ["bias that is not there"] = (json => json["attention_bias"] = true, [TinyCheckpoint.Index, "self_attn.q_proj.bias"]),
        ["bos a string"] = (json => json["bos_token_id"] = "1", ["bos_token_id"]),
        ["eos list of strings"] = (json => json["eos_token_id"] = new JsonArray("1"), ["eos_token_id"]),
        ["dtype a number"] = (json => json["dtype"] = 32, ["dtype"]),
        ["partial rotary factor"] = (json => json["partial_rotary_factor"] = 0.5, ["partial_rotary_factor"]),
    };

    private static readonly Dictionary<string, (Func<string, byte[]>, string[])> s_configBytes = new()
    {
        ["empty"] = (_ => [], []),
        ["white space"] = (_ => "  \n"u8.ToArray(), []),
        ["NaN"] = (json => With(json, "\"rms_norm_eps\":1e-5", "\"rms_norm_eps\":NaN"), []),
        ["Infinity"] = (json => With(json, "\"rms_norm_eps\":1e-5", "\"rms_norm_eps\":Infinity"), []),
        ["-Infinity"] = (json => With(json, "\"rope_theta\":10000.0", "\"rope_theta\":-Infinity"), []),
        ["1e400 as a float"] = (json => With(json, "\"rope_theta\":10000.0", "\"rope_theta\":1e400"), ["rope_theta", "1e400"]),
        ["1e400 as a count"] = (json => With(json, "\"hidden_size\":16", "\"hidden_size\":1e400"), ["hidden_size", "1e400"]),
        ["-0 as a count"] = (json => With(json, "\"hidden_size\":16", "\"hidden_size\":-0"), ["hidden_size", "0"]),
        ["a count of a thousand digits"] = (json => With(json, "\"hidden_size\":16", $"\"hidden_size\":{new string('9', 1000)}"), ["hidden_size", "999"]),
        ["duplicate key"] = (json => With(json, "\"hidden_size\":16", "\"hidden_size\":16,\"hidden_size\":8"), []),
        ["duplicate key under an escape"] = (json => With(json, "\"hidden_size\":16", "\"hidden_size\":16,\"hidden\\u005fsize\":8"), []),
        ["nesting bomb"] = (_ => Encoding.ASCII.GetBytes(new string('[', 100_000)), []),
        ["nesting bomb of objects in a value"] = (json => With(json, "\"hidden_size\":16", $"\"x\":{string.Concat(Enumerable.Repeat("{\"a\":", 100_000))}"), []),
        ["a list"] = (_ => "[]"u8.ToArray(), ["object", "Array"]),
        ["a number"] = (_ => "3"u8.ToArray(), ["object", "Number"]),
        ["null"] = (_ => "null"u8.ToArray(), ["object", "Null"]),
        ["UTF-16"] = (json => [.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes(json)], []),
        ["invalid UTF-8 in a name"] = (json => [.. Encoding.UTF8.GetBytes(json[..^1]), .. ",\"x"u8, 0xC3, 0x28, .. "\":1}"u8], []),
        ["invalid UTF-8 in the architecture"] = (json => With(json, "LlamaFor", "Llama\u00ff").Select(b => b == 0xBF ? (byte)0xFF : b).ToArray(), []),
        ["lone surrogate in architectures"] = (json => With(json, "LlamaFor", "\\ud800"), ["architectures"]),
        ["lone surrogate in the activation"] = (json => With(json, "\"silu\"", "\"\\udc00\""), ["hidden_act"]),
        ["comment"] = (json => With(json, "{", "{/* */"), []),
        ["trailing text"] = (json => Encoding.UTF8.GetBytes(json + "x"), []),
        ["NUL bytes"] = (_ => new byte[100], []),
    };

    private static readonly Dictionary<string, (Action<JsonObject>, string[])> s_indexes = new()
    {
        ["no weight_map"] = (json => json.Remove("weight_map"), ["weight_map"]),
        ["weight_map empty"] = (json => json["weight_map"] = new JsonObject(), ["weight_map"]),
        ["weight_map a list"] = (json => json["weight_map"] = new JsonArray(), ["weight_map"]),
        ["weight_map a string"] = (json => json["weight_map"] = "x", ["weight_map"]),
        ["shard a number"] = (json => json["weight_map"]![Q] = 1, [Q]),
        ["shard a list"] = (json => json["weight_map"]![Q] = new JsonArray(TinyCheckpoint.Second), [Q]),
        ["shard null"] = (json => json["weight_map"]![Q] = null, [Q]),
        ["shard empty"] = (json => json["weight_map"]![Q] = "", [Q]),
        ["shard above the folder"] = (json => json["weight_map"]![Q] = "../" + TinyCheckpoint.Second, [Q, ".."]),
        ["shard .."] = (json => json["weight_map"]![Q] = "..", [Q]),
        ["shard ."] = (json => json["weight_map"]![Q] = ".", [Q]),
        ["shard absolute"] = (json => json["weight_map"]![Q] = "/etc/passwd", [Q, "/etc/passwd"]),
        ["shard with a backslash"] = (json => json["weight_map"]![Q] = "..\\" + TinyCheckpoint.Second, [Q]),
        ["shard on a drive"] = (json => json["weight_map"]![Q] = "C:x.safetensors", [Q]),
        ["shard with NUL"] = (json => json["weight_map"]![Q] = "a\0b", [Q]),
        ["shard with an escape"] = (json => json["weight_map"]![Q] = "a\u001b[2J\n", []),
        ["shard of a megabyte"] = (json => json["weight_map"]![Q] = new string('x', 1 << 20), []),
        ["shard that is missing"] = (json => json["weight_map"]![Q] = "model-00003-of-00002.safetensors", ["weight_map", "model-00003-of-00002.safetensors", "1 of 3"]),
        ["shard that does not hold it"] = (json => json["weight_map"]![Q] = TinyCheckpoint.First, [Q, TinyCheckpoint.First, TinyCheckpoint.Second]),
        ["tensor that no shard holds"] = (json => json["weight_map"]!["quux"] = TinyCheckpoint.First, ["quux", TinyCheckpoint.First]),
    };

    private static readonly Dictionary<string, (Func<JsonObject, string?>, string[])> s_headers = new()
    {
        ["a list"] = (_ => "[]", ["header", "object"]),
        ["a string"] = (_ => "\"x\"", ["header", "object"]),
        ["not JSON"] = (_ => "{", []),
        ["nesting bomb"] = (_ => new string('[', 100_000), []),
        ["tensor a number"] = (json => Do(json[Q] = 1), [Q, "object"]),
        ["dtype missing"] = (json => Do(json[Q]!.AsObject().Remove("dtype")), [Q, "dtype"]),
        ["dtype unknown"] = (json => Do(json[Q]!["dtype"] = "F31"), [Q, "dtype", "F31"]),
        ["dtype a number"] = (json => Do(json[Q]!["dtype"] = 32), [Q, "dtype", "32"]),
        ["dtype of another size"] = (json => Do(json[Q]!["dtype"] = "F16"), [Q, "1024", "512"]),
        ["dtype not read yet"] = (json => Do(json[Q]!["dtype"] = "I32"), [Q, "I32"]),
        ["shape missing"] = (json => Do(json[Q]!.AsObject().Remove("shape")), [Q, "shape"]),
        ["shape a number"] = (json => Do(json[Q]!["shape"] = 16), [Q, "shape"]),
        ["shape negative"] = (json => Do(json[Q]!["shape"] = new JsonArray(-16, -16)), [Q, "shape", "-16"]),
        ["shape a fraction"] = (json => Do(json[Q]!["shape"] = new JsonArray(1.5, 16)), [Q, "shape", "1.5"]),
        ["shape of strings"] = (json => Do(json[Q]!["shape"] = new JsonArray("16", "16")), [Q, "shape"]),
        ["shape whose product overflows"] = (json => Do(json[Q]!["shape"] = new JsonArray(1L << 62, 1L << 62, 1L << 62)), [Q, "shape"]),
        ["shape whose product overflows to its length"] = (json => Do(json[Q]!["shape"] = new JsonArray((1L << 62) + 16, 16)), [Q, "shape"]),
        ["shape of zero"] = (json => Do(json[Q]!["shape"] = new JsonArray(0, 16)), [Q, "1024", "takes 0"]),
        ["shape of zero and huge"] = (json => Do(json[Q]!["shape"] = new JsonArray(0, long.MaxValue, long.MaxValue)), [Q, "1024", "takes 0"]),
        ["shape transposed by the configuration"] = (json => Do(json[Q]!["shape"] = new JsonArray(8, 32)), [Q, "[8, 32]", "[16, 16]"]),
        ["shape of one extent"] = (json => Do(json[Q]!["shape"] = new JsonArray(256)), [Q, "[256]", "[16, 16]"]),
        ["shape of ten thousand ones"] = (json => Do(json[Q]!["shape"] = new JsonArray([16, 16, .. Enumerable.Repeat((JsonNode)1, 10_000).Select(one => one.DeepClone())])), [Q]),
        ["offsets missing"] = (json => Do(json[Q]!.AsObject().Remove("data_offsets")), [Q, "data_offsets"]),
        ["offsets one"] = (json => Do(json[Q]!["data_offsets"] = new JsonArray(0)), [Q, "data_offsets", "1", "2"]),
        ["offsets three"] = (json => Do(json[Q]!["data_offsets"] = new JsonArray(0, 1, 2)), [Q, "data_offsets", "3", "2"]),
        ["offsets negative"] = (json => Do(json[Q]!["data_offsets"] = new JsonArray(-1024, 0)), [Q, "data_offsets", "-1024"]),
        ["offsets backwards"] = (json => Do(json[Q]!["data_offsets"] = new JsonArray(1024, 0)), [Q, "data_offsets", "1024", "0"]),
        ["offsets fractions"] = (json => Do(json[Q]!["data_offsets"] = new JsonArray(0.5, 1024.5)), [Q, "data_offsets", "0.5"]),
        ["offsets at the end of the world"] = (json => Do(json[Q]!["data_offsets"] = new JsonArray(long.MaxValue - 1024, long.MaxValue)), [Q, "data_offsets", "9223372036854775807"]),
        ["offsets beyond 64 bits"] = (json => json.ToJsonString().Replace("\"data_offsets\":[64,", "\"data_offsets\":[99999999999999999999,", StringComparison.Ordinal), [Q, "data_offsets", "99999999999999999999"]),
        ["offsets past the end"] = (json => Do(json["model.layers.1.mlp.down_proj.weight"]!["data_offsets"] = new JsonArray(1L << 40, (1L << 40) + 1536)), ["model.layers.1.mlp.down_proj.weight", "1099511627776", "hole"]),
        ["overlap"] = (json => Do(json[Q]!["data_offsets"] = new JsonArray(0, 1024)), ["overlaps", "0"]),
        ["hole"] = (json => Do(json.Remove(Q)), ["hole", "64", "1088"]),
        ["name twice"] = (json => json.ToJsonString().Replace("self_attn.q_proj", "self_attn.k_proj", StringComparison.Ordinal), []),
        ["name of the other shard"] = (json => json.ToJsonString().Replace("model.layers.1.input_layernorm.weight", "model.norm.weight", StringComparison.Ordinal), ["model.norm.weight", TinyCheckpoint.First]),
        ["name with a lone surrogate"] = (json => json.ToJsonString().Replace("model.layers.1.input", "\\ud800", StringComparison.Ordinal), []),
        ["name with an escape"] = (json => json.ToJsonString().Replace("model.layers.1.input", "\\u001b[2J\\n", StringComparison.Ordinal), []),
    };

    private static readonly Dictionary<string, (Func<RawSafetensors, byte[]>, string[])> s_files = new()
    {
        ["empty"] = (_ => [], ["header length", "0", "8"]),
        ["seven bytes"] = (_ => new byte[7], ["header length", "7", "8"]),
        ["header length 0"] = (file => (file with { StatedLength = 0 }).ToBytes(), []),
        ["header length 1"] = (file => (file with { StatedLength = 1 }).ToBytes(), []),
        ["header length one short"] = (file => (file with { StatedLength = (ulong)file.Header.Length - 1 }).ToBytes(), []),
        ["header length one long"] = (file => (file with { StatedLength = (ulong)file.Header.Length + 1 }).ToBytes(), []),
        ["header length 2^63"] = (file => (file with { StatedLength = 1UL << 63 }).ToBytes(), ["header length", "9223372036854775808"]),
        ["header length 2^64-1"] = (file => (file with { StatedLength = ulong.MaxValue }).ToBytes(), ["header length", "18446744073709551615"]),
        ["header length just past the end"] = (file => (file with { StatedLength = (ulong)(file.Header.Length + file.Data.Length + 1) }).ToBytes(), ["header length"]),
        ["header of 100 MB that is not there"] = (file => (file with { StatedLength = 100_000_000 }).ToBytes(), ["header length", "100000000"]),
        ["header over 100 MB"] = (file => (file with { StatedLength = 100_000_001 }).ToBytes(), ["header length", "100000001"]),
        ["trailing byte"] = (file => [.. file.ToBytes(), 0], ["file size"]),
        ["last byte missing"] = (file => file.ToBytes()[..^1], ["file size"]),
        ["no data"] = (file => (file with { Data = [] }).ToBytes(), ["file size"]),
        ["invalid UTF-8"] = (file => file.ToBytes().Select((b, i) => i == 12 ? (byte)0xFF : b).ToArray(), []),
        ["zeros"] = (_ => new byte[5000], []),
        ["a GGUF"] = (_ => TinyCheckpoint.Gguf, ["header length"]),
    };

    private static byte[] With(string json, string from, string to)
    {
        Assert.Contains(from, json, StringComparison.Ordinal);
        int at = json.IndexOf(from, StringComparison.Ordinal);
        return Encoding.UTF8.GetBytes(string.Concat(json.AsSpan(0, at), to, json.AsSpan(at + from.Length)));
    }

    private static string? Do(object? _) => null;
}
