namespace NativeBigModel.Planning;

/// <summary>What happens to layers that the GPUs cannot hold.</summary>
public enum OffloadMode
{
    /// <summary>They rest in host memory and the CPU computes them; what host memory cannot hold is streamed from disk.</summary>
    Cpu,
    /// <summary>They rest in host memory and are streamed to the GPUs, each over its own link, or to the CPU where there is no GPU; what host memory cannot hold is streamed from disk.</summary>
    Stream,
    /// <summary>They stay on disk and are streamed from there.</summary>
    Disk,
    /// <summary>
    /// They rest in host memory; the CPU computes <see cref="PlanOptions.CpuShare"/> of them, feed-forward networks, while the rest is streamed to the GPUs.
    /// Prompts stream all of them. What host memory cannot hold is streamed from disk.
    /// </summary>
    Hybrid,
}

/// <summary>What a plan is chosen for. Of plans within 2 % of the best the one is taken that is better otherwise: with the faster prompts, or the faster tokens.</summary>
public enum Objective
{
    /// <summary>The least time a generated token.</summary>
    Decode,
    /// <summary>The least time for a prompt.</summary>
    Prefill,
    /// <summary>The least time for a prompt and an answer of a quarter of its tokens.</summary>
    Balanced,
    /// <summary>The least memory of GPUs, and then of the host, that is within a tenth of the least time a generated token.</summary>
    Memory,
}

/// <summary>What to plan for.</summary>
public sealed record PlanOptions
{
    /// <summary>The context that is planned for where none is asked for, in tokens; a shorter model has its own.</summary>
    public const int DefaultContextLength = 4096;

    /// <summary>Tokens of a prompt that are computed together.</summary>
    public const int DefaultBatchSize = 512;

    /// <summary>The same where layers are streamed: each batch brings every layer once, so fewer and larger ones are faster.</summary>
    public const int StreamingBatchSize = 2048;

    /// <summary>Tokens of a batch from which a hybrid plan's GPUs compute everything and the CPU nothing, where nobody measured the machine.</summary>
    public const int UsualSharedBatchSize = 32;

    /// <summary>Conversations that llama.cpp computes together at most (llama-cparams.h, LLAMA_MAX_SEQ).</summary>
    public const int MaxSessions = 256;

    /// <summary>The longest ring, in layers.</summary>
    public const int MaxRingLayers = 64;

    // What ggml's thread pool takes (ggml.h, GGML_MAX_N_THREADS).
    internal const int MaxThreads = 512;

    /// <summary>How the weights are stored.</summary>
    public WeightType WeightType { get; init; }

    /// <summary>Bytes per device; null for what <see cref="MemoryLimits.Of"/> gives.</summary>
    public MemoryLimits? MaxMemory { get; init; }

    /// <summary>Tokens that one conversation may hold; null for <see cref="DefaultContextLength"/> or the model's own, whichever is less.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Conversations that may be computed at the same time, 1 to <see cref="MaxSessions"/>; each has a context of its own.</summary>
    public int Sessions { get; init; } = 1;

    /// <summary>Type of the KV cache: F16, Q8_0, Q4_0, BF16 or F32.</summary>
    public TensorType KvType { get; init; } = TensorType.F16;

    /// <summary>Whether attention may use the engine's fused, lower-precision kernel. A quantised KV cache needs it.</summary>
    public bool FlashAttention { get; init; } = true;

    /// <summary>Tokens of a prompt that are computed together; null for <see cref="DefaultBatchSize"/>, or <see cref="StreamingBatchSize"/> where layers are streamed.</summary>
    public int? BatchSize { get; init; }

    /// <summary>What happens to layers that the GPUs cannot hold. <see cref="OffloadMode.Stream"/> and <see cref="OffloadMode.Disk"/> without <see cref="MaxMemory"/> stream every layer.</summary>
    public OffloadMode Offload { get; init; }

    /// <summary>A device map, in place of the planner's own choice; null for that.</summary>
    public DeviceMap? DeviceMap { get; init; }

    /// <summary>
    /// Length of the ring through which layers are streamed, in the largest of them: 1 to <see cref="MaxRingLayers"/>. While one layer is computed, as much of the next ones as has
    /// room besides is on its way; with 1 nothing is, and the link stands still while the device computes. Null for one and a half, which long prompts need, and up to two and a
    /// half where the limits leave room that is too small for another layer. Where nothing passes through it but what the CPU computes, for long prompts, the first layer of its length
    /// is no longer than the largest matrix.
    /// </summary>
    public double? RingLayers { get; init; }

    /// <summary>
    /// With <see cref="OffloadMode.Hybrid"/>, the share of the bytes beyond the GPUs that the CPU computes, 0 to 1; null for its speed at reading weights over that of
    /// itself and the link together, as <see cref="Machine.Speeds"/> has them or else an ordinary desktop, and for 1 with <see cref="LinkedExperts"/>.
    /// </summary>
    public double? CpuShare { get; init; }

    /// <summary>
    /// With <see cref="OffloadMode.Hybrid"/>, how many of the experts that a token uses a GPU computes, reading them over its link where they rest in host memory, while the CPU computes
    /// the others: 0 to <see cref="ModelShape.ExpertUsedCount"/>. It concerns the parts that the CPU would compute alone, in passes of one token. Null for the number with the fastest
    /// tokens where each GPU reads host memory (<see cref="GpuDevice.ReadsHostMemory"/>), and for 0 elsewhere. With <see cref="OffloadMode.Stream"/> a GPU computes all of them so where it
    /// reads host memory and that is faster than to bring whole layers, unless this is 0; batches of 2 tokens and more, to <see cref="SharedBatchSize"/>, are then the CPU's.
    /// </summary>
    public int? LinkedExperts { get; init; }

    /// <summary>
    /// With <see cref="OffloadMode.Hybrid"/>, and with <see cref="LinkedExperts"/>, tokens of a batch from which the GPUs compute everything and the CPU nothing, 2 or more: all that it
    /// computes for fewer streams then too. Null for the least number with which that is faster on a machine that was measured, up to 512, and elsewhere for
    /// <see cref="UsualSharedBatchSize"/>.
    /// </summary>
    public int? SharedBatchSize { get; init; }

    /// <summary>With <see cref="OffloadMode.Cpu"/>, whether the CPU computes the first layers and not the last ones, so that the output is on a GPU: llama.cpp's own order.</summary>
    internal bool HostFirst { get; init; }

    /// <summary>What to choose placement, ring and batch for; null for what the other options say. <see cref="Offload"/> and <see cref="CpuShare"/> are chosen then.</summary>
    public Objective? Optimize { get; init; }

    /// <summary>
    /// Bytes of the compute buffers by <see cref="DeviceName"/>, as the engine has them for the very plan; null for an estimate. A device that is not named needs none.
    /// </summary>
    public IReadOnlyDictionary<string, long>? ComputeBytes { get; init; }

    /// <summary>
    /// Threads of the CPU; null for as many as <see cref="MachineCalibration"/> found to be the fastest, or else one for each core (<see cref="Machine.Cores"/>), less one for
    /// the loader where layers are streamed and there are more than two.
    /// </summary>
    public int? Threads { get; init; }

    /// <summary>A folder for the tensors that stay on disk and need another layout or type than the checkpoint gives them; null where none may be written.</summary>
    public string? OffloadFolder { get; init; }
}
