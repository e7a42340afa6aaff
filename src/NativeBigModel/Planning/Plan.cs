using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace NativeBigModel.Planning;

/// <summary>Where every layer of a model lives and how many bytes that takes on each device. A value: it holds no file and no device.</summary>
public sealed record Plan
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    /// <summary>How the weights are stored.</summary>
    public required WeightType WeightType { get; init; }

    /// <summary>Tokens that one conversation may hold.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Conversations that may be computed at the same time, each with a context of that length.</summary>
    public int Sessions { get => field == 0 ? 1 : field; init; } // 0 is what the reader of a file makes of no word about it

    /// <summary>Type of the KV cache.</summary>
    public required TensorType KvType { get; init; }

    /// <summary>Whether attention may use the engine's fused kernel.</summary>
    public required bool FlashAttention { get; init; }

    /// <summary>Tokens of a prompt that are computed together.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Input, transformer layers, output, in the order in which a token passes them.</summary>
    public required ImmutableArray<LayerPlacement> Layers { get; init; }

    /// <summary>The devices: GPUs, host memory, disk.</summary>
    public required ImmutableArray<DevicePlan> Devices { get; init; }

    /// <summary>Bytes of all weights, each tensor once.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of the KV cache.</summary>
    public long KvBytes => Layers.Sum(layer => layer.KvBytes);

    /// <summary>Length of the ring in the largest layer, where some layers are streamed.</summary>
    public double RingLayers { get; init; }

    /// <summary>
    /// Of the experts that a token uses, those that a GPU computes of each shared feed-forward part in a pass of one token, reading them over its link where they rest in host
    /// memory, while the CPU computes the others; 0 where the CPU computes all.
    /// </summary>
    public int LinkedExperts { get; init; }

    /// <summary>Tokens of a batch from which what the CPU computes for fewer streams too, and the GPUs compute it.</summary>
    public int SharedBatchSize { get; init; } = PlanOptions.UsualSharedBatchSize;

    /// <summary>Threads of the CPU; null for as many as suit the machine that carries the plan out.</summary>
    public int? Threads { get; init; }

    /// <summary>A folder for the tensors that stay on disk and need another layout or type than the checkpoint gives them, or null.</summary>
    public string? OffloadFolder { get; init; }

    /// <summary>What a user should know about the plan, one sentence each: where llama.cpp cannot do what was asked for, and what is done instead.</summary>
    [JsonRequired]
    public ImmutableArray<string> Notes { get; init; } = [];

    /// <summary>Whether the compute buffers are the engine's own figures for this plan, or an estimate.</summary>
    public bool ComputeMeasured { get; init; }

    /// <summary>The speed to expect, or null where nobody predicted it.</summary>
    public Prediction? Predicted { get; init; }

    /// <summary>Whether some layers pass through a ring while they are computed.</summary>
    public bool Streams => Layers.Any(layer => layer.Streamed);

    /// <summary>The plan as JSON, for a file that <see cref="FromJson"/> reads.</summary>
    public string ToJson() => PlanDocument.Write(this);

    /// <summary>Reads what <see cref="ToJson"/> wrote. <see cref="Verify"/> tells whether it is still a plan for a model.</summary>
    /// <exception cref="InvalidOptionException">The text is no plan, or one of another version.</exception>
    public static Plan FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        return PlanDocument.Read(json);
    }

    /// <summary>Computes every number anew from a model's shape in the plan's weight type, and requires that the plan has the same.</summary>
    /// <exception cref="InvalidOptionException">It has another; the message says both.</exception>
    /// <exception cref="DoesNotFitException">A device would hold more than its limit.</exception>
    public void Verify(ModelShape model)
    {
        ArgumentNullException.ThrowIfNull(model);
        PlanCheck.Require(this, model);
    }

    /// <summary>Whether layers and their feed-forward parts are placed apart, as in hybrid plans.</summary>
    internal bool SplitsLayers => Layers.Any(layer => layer.IsFeedForward);

    /// <summary>What is computed: all but the input, of which a token reads a row.</summary>
    internal IEnumerable<LayerPlacement> Computed => Layers.Where(layer => layer.Name != Item.Input);

    /// <summary>What llama.cpp counts as layers (n_gpu_layers): each layer, where its attention is, and the output. A feed-forward part may be computed elsewhere.</summary>
    internal IEnumerable<LayerPlacement> EngineLayers => Computed.Where(layer => !layer.IsFeedForward);

    /// <inheritdoc/>
    public bool Equals(Plan? other) =>
        other is not null
        && (Model, WeightType, ContextLength, Sessions, KvType, FlashAttention, BatchSize, WeightBytes, RingLayers, LinkedExperts, SharedBatchSize, OffloadFolder, Threads)
            == (other.Model, other.WeightType, other.ContextLength, other.Sessions, other.KvType, other.FlashAttention, other.BatchSize, other.WeightBytes, other.RingLayers, other.LinkedExperts, other.SharedBatchSize, other.OffloadFolder, other.Threads)
        && (ComputeMeasured, Predicted) == (other.ComputeMeasured, other.Predicted)
        && Layers.AsSpan().SequenceEqual(other.Layers.AsSpan())
        && Devices.AsSpan().SequenceEqual(other.Devices.AsSpan())
        && Notes.AsSpan().SequenceEqual(other.Notes.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Model, WeightType, ContextLength, KvType, WeightBytes, Layers.Length);
}

/// <summary>Where one layer lives.</summary>
/// <param name="Name">
/// <c>input</c> (the token embedding), <c>blk.N</c>, or <c>output</c> (final norm and output projection). In a hybrid plan <c>blk.N.ffn</c> is the layer's
/// feed-forward network (or its routed experts) and <c>blk.N</c> the rest of the layer.
/// </param>
/// <param name="Device">The <see cref="DeviceName"/> where its weights rest.</param>
/// <param name="ComputeDevice">The <see cref="DeviceName"/> that computes it and holds its keys and values.</param>
/// <param name="Streamed">Whether its weights pass through the ring of the computing device.</param>
/// <param name="WeightBytes">Bytes of its tensors.</param>
/// <param name="KvBytes">Bytes of its keys and values.</param>
public sealed record LayerPlacement(string Name, string Device, string ComputeDevice, bool Streamed, long WeightBytes, long KvBytes)
{
    /// <summary>Number of the transformer layer that it is, or that it is the feed-forward part of; null for the input and the output.</summary>
    public int? Number => ItemName.LayerOf(Name);

    /// <summary>Whether it is a layer's feed-forward part alone.</summary>
    public bool IsFeedForward => FeedForwardPart.Is(Name);

    /// <summary>Why it lies there, in a few words; empty where nobody said. It binds nothing: an edited plan may give another, or none.</summary>
    public string Reason { get; init; } = "";
}

/// <summary>What one device holds.</summary>
/// <param name="Name">A <see cref="DeviceName"/>.</param>
/// <param name="WeightBytes">Bytes of weights.</param>
/// <param name="KvBytes">Bytes of KV cache.</param>
/// <param name="RingBytes">Bytes of the ring that streamed layers pass through.</param>
/// <param name="StagingBytes">Bytes of host memory through which what is read from disk passes on its way to GPUs; 0 for other devices.</param>
/// <param name="ComputeBytes">Bytes of the buffers that it computes in.</param>
/// <param name="LimitBytes">Bytes that it may hold; null for the disk, and for host memory that was not named.</param>
public sealed record DevicePlan(string Name, long WeightBytes, long KvBytes, long RingBytes, long StagingBytes, long ComputeBytes, long? LimitBytes)
{
    /// <summary>Bytes of everything.</summary>
    public long TotalBytes => WeightBytes + KvBytes + RingBytes + StagingBytes + ComputeBytes;
}

/// <summary>Names of devices in plans, the same that <see cref="MemoryLimits"/> reads.</summary>
public static class DeviceName
{
    /// <summary>Host memory.</summary>
    public const string Host = "cpu";

    /// <summary>The checkpoint's own disk.</summary>
    public const string Disk = "disk";

    /// <summary>The GPU with this number.</summary>
    public static string Gpu(int index) => index.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>A device as tables and errors call it: <c>GPU 0</c>, <c>cpu</c>, <c>disk</c>.</summary>
    public static string Label(string name) => GpuIndex(name) is { } index ? $"GPU {index}" : name;

    /// <summary>The number of a GPU's name, or null for any other device.</summary>
    public static int? GpuIndex(string name) => int.TryParse(name, System.Globalization.NumberStyles.None, null, out int index) ? index : null;
}
