using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>How fast a machine moves and multiplies weights: what predictions are made from. Speeds are bytes per second and floating-point operations per second.</summary>
public sealed record MachineSpeeds
{
    private const double LeastShare = 0.05; // of its memory that links leave the CPU, however many there are

    /// <summary>Whether the numbers were measured on the machine, or are those of an ordinary desktop.</summary>
    public required bool Measured { get; init; }

    /// <summary>The GPUs by number; one that is not listed is taken to be as fast as the last.</summary>
    public required ImmutableArray<GpuSpeeds> Gpus { get; init; }

    /// <summary>The CPU with all threads that a model would have, alone.</summary>
    public required MatrixSpeeds Cpu { get; init; }

    /// <summary>
    /// The CPU with quantised weights in the layouts that it keeps for itself: what a plan without a GPU has of the weights that do not stream. Null where nobody measured, and
    /// then <see cref="Cpu"/> stands for it.
    /// </summary>
    public MatrixSpeeds? CpuOwnLayouts { get; init; }

    /// <summary>Threads with which the CPU reads weights the fastest, alone; null where nobody tried.</summary>
    public int? Threads { get; init; }

    /// <summary>The same while a link brings others, which takes the time of a core; null where nobody tried.</summary>
    public int? ThreadsBesideLink { get; init; }

    /// <summary>What is left of the CPU's speed at reading weights as fast as its memory gives them (F16) while a link brings others out of the same memory, 0 to 1.</summary>
    public required double CpuBesideLink { get; init; }

    /// <summary>The same for weights that the cores unpack more slowly than the memory gives them (Q4_0); null for <see cref="CpuBesideLink"/>.</summary>
    public double? CpuUnpackingBesideLink { get; init; }

    /// <summary>What is left of a link's speed meanwhile, 0 to 1.</summary>
    public required double LinkBesideCpu { get; init; }

    /// <summary>Reading a file around the page cache.</summary>
    public required double DiskBytesPerSecond { get; init; }

    /// <summary>
    /// An ordinary desktop: a GPU on 16 lanes of PCIe 4, two channels of DDR5, an NVMe disk. For machines that were not measured and machines that are not here; a
    /// plan that uses it says so.
    /// </summary>
    public static MachineSpeeds Assumed { get; } = new()
    {
        Measured = false,
        Gpus = [new GpuSpeeds("", 24e9, 24e9, new([new(TensorType.F16, 500e9, 50e12)], 0.8, 40e-6))],
        Cpu = new([new(TensorType.F16, 50e9, 0.8e12)], 0.8, 0),
        CpuBesideLink = 0.8,
        LinkBesideCpu = 0.95,
        DiskBytesPerSecond = 2.5e9,
    };

    /// <summary>
    /// The CPU while links bring weights: cores unpack nearly as fast as before, and no type comes faster than the memory still gives them. Several links leave it what one and the
    /// CPU have together, less their own.
    /// </summary>
    /// <param name="gpus">The GPUs whose links bring them.</param>
    public MatrixSpeeds CpuWhileStreaming(IReadOnlyCollection<int> gpus)
    {
        ArgumentNullException.ThrowIfNull(gpus);
        double peak = Cpu.Types.Max(type => type.BytesPerSecond), memory = CpuBesideLink * peak, unpacking = CpuUnpackingBesideLink ?? CpuBesideLink;
        if (gpus.Count > 1)
        {
            double together = memory + gpus.Max(gpu => Gpu(gpu).ToDevice) * LinkBesideCpu;
            memory = Math.Clamp(together - gpus.Sum(LinkSpeed) * LinkBesideCpu, LeastShare * peak, memory);
        }
        return Cpu with { Types = [.. Cpu.Types.Select(type => type with { BytesPerSecond = Math.Min(memory, type.BytesPerSecond * unpacking) })] };
    }

    /// <summary>Bytes per second to a GPU while every other link is at work.</summary>
    internal double LinkSpeed(int gpu) => Gpu(gpu).ToDeviceTogether ?? Gpu(gpu).ToDevice;

    /// <summary>Seconds that a vector takes from a GPU to the CPU and back.</summary>
    internal double Crossing(int gpu) => Gpu(gpu).CrossingSeconds ?? Cpu.LayerSeconds;

    /// <summary>The speeds of the GPU with this number.</summary>
    internal GpuSpeeds Gpu(int index) => Gpus.IsEmpty ? Assumed.Gpus[0] : Gpus[Math.Min(index, Gpus.Length - 1)];
}

/// <summary>One GPU and its link.</summary>
/// <param name="Name">As in <see cref="GpuDevice"/>.</param>
/// <param name="ToDevice">Bytes per second from pinned host memory.</param>
/// <param name="FromDevice">Bytes per second to pinned host memory.</param>
/// <param name="Matrices">How fast it multiplies.</param>
public sealed record GpuSpeeds(string Name, double ToDevice, double FromDevice, MatrixSpeeds Matrices)
{
    /// <summary>Bytes per second to it while every other GPU's link is as busy; null where it is the only one, or nobody measured.</summary>
    public double? ToDeviceTogether { get; init; }

    /// <summary>
    /// Seconds that a vector takes to the CPU and back beside what is computed: once for each feed-forward network that the CPU has in a hybrid plan. Null where nobody measured, and
    /// then what a layer takes on the CPU beside its matrices stands for it.
    /// </summary>
    public double? CrossingSeconds { get; init; }
}

/// <summary>How fast a device multiplies by weights of each type.</summary>
/// <param name="Types">At least one; other types go by the nearest.</param>
/// <param name="ExpertShare">What is left of these speeds for the experts of a mixture, whose matrices are small and chosen anew for each token, and may lie in another layout; 0 to 1.</param>
/// <param name="LayerSeconds">What a layer takes beside its matrices for one token: norms, attention of a short text, kernels that start.</param>
public sealed record MatrixSpeeds(ImmutableArray<MatrixSpeed> Types, double ExpertShare, double LayerSeconds)
{
    /// <summary>Tokens of the prompt that is measured.</summary>
    internal const int PromptTokens = 512;

    /// <summary>Tokens that an expert's rows are multiplied by together.</summary>
    internal const int ExpertTokens = 128;

    /// <summary>Of those, how many <see cref="FewPromptExpertShare"/> is measured with.</summary>
    internal const int FewExpertTokens = 32;

    /// <summary>
    /// Operations per second of one token's attention to a long text, two for each element of keys and values and each head that asks it; null where reading them is all that takes time.
    /// </summary>
    public double? AttentionFlopsPerSecond { get; init; }

    /// <summary>What is left of them for a prompt's experts; null for <see cref="ExpertShare"/>.</summary>
    public double? PromptExpertShare { get; init; }

    /// <summary>
    /// The same where each expert has but a quarter of 128 tokens, as many as kernels multiply by together whether they are there or not; null where that makes no difference.
    /// </summary>
    public double? FewPromptExpertShare { get; init; }

    /// <summary>What a layer takes beside its matrices for a prompt of 512 tokens; null for <see cref="LayerSeconds"/>.</summary>
    public double? PromptLayerSeconds { get; init; }

    /// <summary>
    /// What a layer of a mixture takes for one token more than another layer, beside its matrices: on a GPU experts are chosen, and what they make is weighed and added; a CPU takes time with
    /// each of many small ones.
    /// </summary>
    public double MixtureSeconds { get; init; }

    /// <summary>What a pass takes beside its layers for one token.</summary>
    public double PassSeconds { get; init; }

    /// <summary>The same for a prompt of 512 tokens; null for <see cref="PassSeconds"/>.</summary>
    public double? PromptPassSeconds { get; init; }

    /// <summary>What a layer takes beside its matrices for so many tokens at once.</summary>
    internal double Layer(int tokens) => Between(LayerSeconds, PromptLayerSeconds, tokens);

    /// <summary>What is left of these speeds for experts that have so many tokens each, of so many that are computed together.</summary>
    internal double PromptExperts(int tokens, double each)
    {
        double many = PromptExpertShare ?? ExpertShare, filled = each / Math.Min(tokens, ExpertTokens);
        return FewPromptExpertShare is not { } few || few >= many || filled >= 1 ? many : many * Math.Pow(filled, Math.Log(few / many, (double)FewExpertTokens / ExpertTokens));
    }

    /// <summary>What a pass takes beside its layers for so many tokens at once.</summary>
    internal double Pass(int tokens) => Between(PassSeconds, PromptPassSeconds, tokens);

    /// <summary>The speed for a type, or for the one most like it.</summary>
    internal MatrixSpeed Of(TensorType type) => Types.FirstOrDefault(speed => speed.Type == type) ?? Types.FirstOrDefault(speed => Kind(speed.Type) == Kind(type)) ?? Types[0];

    private static double Between(double one, double? prompt, int tokens) => one + ((prompt ?? one) - one) * (tokens - 1) / (PromptTokens - 1);

    // What makes types alike is how they are unpacked: whole numbers, one scale a block, scales of scales.
    private static int Kind(TensorType type) => !type.IsQuantized() ? 0 : type == TensorType.Q8_0 ? 1 : type.BlockSize() <= 32 ? 2 : 3;
}

/// <summary>Speed with one type of weights, and what each matrix takes whatever its size.</summary>
/// <param name="Type">The type.</param>
/// <param name="BytesPerSecond">Weights read for one token: a matrix by a vector.</param>
/// <param name="FlopsPerSecond">Operations for a long prompt, a matrix by many vectors; two for each weight and token.</param>
public sealed record MatrixSpeed(TensorType Type, double BytesPerSecond, double FlopsPerSecond)
{
    /// <summary>Seconds that a matrix takes for one token beside reading it: its kernels start and end, and threads wait for each other.</summary>
    public double StartSeconds { get; init; }

    /// <summary>The same for a long prompt, whose last part leaves some of a device with nothing to do.</summary>
    public double PromptStartSeconds { get; init; }
}
