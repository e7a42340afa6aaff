using System.Text.Json;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace NativeBigModel.Bench.Torch;

/// <summary>
/// A Llama whose weights rest in host memory: each module's are moved to the device before it is computed, and let go of after it. Keys and values stay on the device. This is
/// how a program on TorchSharp runs a model that is larger than its GPU; without one it computes with them where they are.
/// </summary>
internal sealed class LayeredLlama
{
    private readonly Dictionary<string, Tensor> _weights;
    private readonly Device _device;
    private readonly bool _pinned;
    private readonly int _layers, _heads, _kvHeads, _headLength;
    private readonly double _epsilon;
    private readonly Tensor _frequencies;
    private readonly (Tensor Keys, Tensor Values)?[] _cache;

    public LayeredLlama(string folder, Device device, bool pinned)
    {
        using JsonDocument config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        JsonElement Key(string name) => config.RootElement.GetProperty(name);
        (_device, _pinned) = (device, pinned);
        _layers = Key("num_hidden_layers").GetInt32();
        _heads = Key("num_attention_heads").GetInt32();
        _kvHeads = Key("num_key_value_heads").GetInt32();
        _headLength = config.RootElement.TryGetProperty("head_dim", out JsonElement length) ? length.GetInt32() : Key("hidden_size").GetInt32() / _heads;
        _epsilon = Key("rms_norm_eps").GetDouble();
        Vocabulary = Key("vocab_size").GetInt32();
        double theta = config.RootElement.TryGetProperty("rope_theta", out JsonElement turns) ? turns.GetDouble() : 10000;
        _frequencies = tensor(Enumerable.Range(0, _headLength / 2).Select(i => (float)Math.Pow(theta, -2.0 * i / _headLength)).ToArray(), device: device);
        _weights = SafetensorsFolder.Read(folder, pinned);
        _cache = new (Tensor, Tensor)?[_layers];
    }

    /// <summary>Tokens that there are.</summary>
    public int Vocabulary { get; }

    /// <summary>Forgets every text.</summary>
    public void Clear()
    {
        for (int i = 0; i < _layers; i++)
        {
            _cache[i]?.Keys.Dispose();
            _cache[i]?.Values.Dispose();
            _cache[i] = null;
        }
    }

    /// <summary>Passes tokens through all layers and gives the likeliest next one.</summary>
    public long Next(long[] tokens)
    {
        using var none = inference_mode();
        using var scope = NewDisposeScope();
        long from = _cache[0]?.Keys.shape[2] ?? 0;
        using Tensor positions = arange(from, from + tokens.Length, dtype: ScalarType.Float32, device: _device);
        Tensor angles = outer(positions, _frequencies);
        angles = cat([angles, angles], -1);
        Tensor cos = angles.cos().to(ScalarType.Float16), sin = angles.sin().to(ScalarType.Float16);
        Tensor x = Bring("model.embed_tokens.weight").index_select(0, tensor(tokens, device: _device)).unsqueeze(0);
        for (int i = 0; i < _layers; i++) x = Layer(i, x, cos, sin);
        x = Norm(x.slice(1, x.shape[1] - 1, x.shape[1], 1), Bring("model.norm.weight"));
        return functional.linear(x, Bring("lm_head.weight")).argmax(-1).item<long>();
    }

    private Tensor Layer(int index, Tensor x, Tensor cos, Tensor sin)
    {
        // What a layer brought and made goes with its scope; the stream of activations and the cache stay.
        using var scope = NewDisposeScope();
        string[] names = [.. s_parts.Select(part => $"model.layers.{index}.{part}.weight")];
        Tensor[] weights = [.. names.Select(Bring)];
        Tensor h = Norm(x, weights[0]);
        Tensor queries = Turn(Heads(functional.linear(h, weights[1]), _heads), cos, sin);
        Tensor keys = Turn(Heads(functional.linear(h, weights[2]), _kvHeads), cos, sin), values = Heads(functional.linear(h, weights[3]), _kvHeads);
        bool first = _cache[index] is null;
        if (_cache[index] is { } held)
        {
            keys = cat([held.Keys, keys], 2);
            values = cat([held.Values, values], 2);
            held.Keys.Dispose();
            held.Values.Dispose();
        }
        _cache[index] = (keys.DetachFromDisposeScope(), values.DetachFromDisposeScope());
        if (_heads != _kvHeads)
        {
            keys = keys.repeat_interleave(_heads / _kvHeads, 1);
            values = values.repeat_interleave(_heads / _kvHeads, 1);
        }
        Tensor attention = functional.scaled_dot_product_attention(queries, keys, values, is_casual: first && queries.shape[2] > 1);
        x = x + functional.linear(attention.transpose(1, 2).flatten(2), weights[4]);
        h = Norm(x, weights[5]);
        x = x + functional.linear(functional.silu(functional.linear(h, weights[6])) * functional.linear(h, weights[7]), weights[8]);
        return x.MoveToOuterDisposeScope();
    }

    private static readonly string[] s_parts =
    [
        "input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
    ];

    // Where host memory is the device's there is nothing to move.
    private Tensor Bring(string name) => _device.type == TorchSharp.DeviceType.CPU ? _weights[name] : _weights[name].to(_device, copy: true, non_blocking: _pinned);

    private Tensor Norm(Tensor x, Tensor weight)
    {
        Tensor wide = x.to(ScalarType.Float32);
        return (wide * rsqrt(wide.square().mean([-1L], keepdim: true) + _epsilon)).to(ScalarType.Float16) * weight;
    }

    private Tensor Heads(Tensor x, int heads) => x.view(1, x.shape[1], heads, _headLength).transpose(1, 2);

    private static Tensor Turn(Tensor x, Tensor cos, Tensor sin)
    {
        Tensor[] halves = x.chunk(2, -1);
        return x * cos + cat([-halves[1], halves[0]], -1) * sin;
    }
}
