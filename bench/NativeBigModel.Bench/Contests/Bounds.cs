using NativeBigModel.Planning;

namespace NativeBigModel.Bench.Contests;

/// <summary>Bytes and operations of a model that a pass moves or computes.</summary>
/// <param name="ReadBytes">Of weights, all that a pass may touch: everything but the table of token embeddings.</param>
/// <param name="ExpertBytes">Those of them that are experts.</param>
/// <param name="ExpertsRead">The share of the experts that one token passes, 1 in a dense model.</param>
/// <param name="PromptFlops">Operations for each token of a prompt: two for each weight that it passes; the output is computed for the last one only.</param>
internal sealed record ModelBytes(long ReadBytes, long ExpertBytes, double ExpertsRead, double PromptFlops)
{
    public static ModelBytes Of(Models.SyntheticModel model)
    {
        TensorSpec[] read = [.. model.Tensors.Where(tensor => tensor.Name != "token_embd.weight")], experts = [.. read.Where(tensor => tensor.Name.Contains("_exps."))];
        double share = model.Experts.Count == 0 ? 1 : (double)model.Experts.Used / model.Experts.Count;
        return new(read.Sum(tensor => tensor.Bytes), experts.Sum(tensor => tensor.Bytes), share,
            2.0 * (read.Except(experts).Where(tensor => !tensor.IsOutput).Sum(tensor => tensor.Elements) + share * experts.Sum(tensor => tensor.Elements)));
    }

    /// <summary>Bytes read for a token of the model when the fastest memory holds this much of it: what every token reads lies there first, then experts, each as likely as another.</summary>
    public double Beyond(long held)
    {
        long always = ReadBytes - ExpertBytes;
        return held <= always ? always - held + ExpertBytes * ExpertsRead : Math.Max(0, ReadBytes - held) * ExpertsRead;
    }
}

/// <summary>What a machine was measured to do, for weights of one type. Bytes a second and operations a second.</summary>
/// <param name="Cpu">Weights that the CPU multiplies by, for one token.</param>
/// <param name="CpuFlops">Operations of the CPU, for a long prompt.</param>
/// <param name="Disk">Reading around the page cache.</param>
/// <param name="Gpu">Weights that the GPU multiplies by; 0 without one, and so the rest.</param>
/// <param name="GpuFlops">Operations of the GPU, for a long prompt.</param>
/// <param name="Link">From pinned memory to the GPU.</param>
/// <param name="CpuBesideLink">What is left of the CPU's speed while the link runs.</param>
/// <param name="LinkBesideCpu">What is left of the link's meanwhile.</param>
internal sealed record Bandwidths(double Cpu, double CpuFlops, double Disk, double Gpu = 0, double GpuFlops = 0, double Link = 0, double CpuBesideLink = 1, double LinkBesideCpu = 1)
{
    public static Bandwidths Of(MachineSpeeds speeds, TensorType type)
    {
        MatrixSpeed cpu = speeds.Cpu.Of(type);
        if (speeds.Gpus.IsEmpty) return new(cpu.BytesPerSecond, cpu.FlopsPerSecond, speeds.DiskBytesPerSecond);
        MatrixSpeed gpu = speeds.Gpus[0].Matrices.Of(type);
        return new(cpu.BytesPerSecond, cpu.FlopsPerSecond, speeds.DiskBytesPerSecond, gpu.BytesPerSecond, gpu.FlopsPerSecond, speeds.Gpus[0].ToDevice, speeds.CpuWhileStreaming([0]).Of(type).BytesPerSecond / cpu.BytesPerSecond, speeds.LinkBesideCpu);
    }

    /// <summary>The better of two measurements of one machine, number by number: what it can do, and not what else it did meanwhile.</summary>
    public Bandwidths Or(Bandwidths other) => new(
        Math.Max(Cpu, other.Cpu), Math.Max(CpuFlops, other.CpuFlops), Math.Max(Disk, other.Disk), Math.Max(Gpu, other.Gpu), Math.Max(GpuFlops, other.GpuFlops),
        Math.Max(Link, other.Link), Math.Max(CpuBesideLink, other.CpuBesideLink), Math.Max(LinkBesideCpu, other.LinkBesideCpu));
}

/// <summary>
/// The seconds that no system can beat on a machine whose bandwidths were measured, with the whole budget full of weights: nothing for KV cache, slots and activations. What
/// lies beyond the budget comes over the link, or the CPU computes it, or both at once; without a GPU, the budget is RAM. What lies beyond RAM comes from the disk.
/// </summary>
internal static class Bounds
{
    /// <summary>For one token.</summary>
    public static double Token(ModelBytes model, long budget, Bandwidths machine, long? ram = null)
    {
        double all = model.Beyond(0), beyond = model.Beyond(budget);
        if (ram is { } held) return Math.Max(model.Beyond(budget + held) / machine.Disk, Token(model, budget, machine));
        if (machine.Gpu == 0) return Math.Max(beyond / machine.Disk, all / machine.Cpu);
        double streamed = Math.Max(beyond / machine.Link, all / machine.Gpu);
        // The CPU's share is the one with which both ends meet: (beyond - share) / link = share / cpu + (all - share) / gpu.
        double link = machine.Link * machine.LinkBesideCpu, cpu = machine.Cpu * machine.CpuBesideLink;
        double share = Math.Clamp((beyond / link - all / machine.Gpu) / (1 / link + 1 / cpu - 1 / machine.Gpu), 0, beyond);
        double both = Math.Max((beyond - share) / link, share / cpu + (all - share) / machine.Gpu);
        double apart = beyond / machine.Cpu + (all - beyond) / machine.Gpu;
        return Math.Min(streamed, Math.Min(both, apart));
    }

    /// <summary>For a prompt so long that it passes every expert.</summary>
    public static double Prompt(ModelBytes model, long budget, int tokens, Bandwidths machine, long? ram = null)
    {
        if (ram is { } held) return Math.Max(Math.Max(0, model.ReadBytes - budget - held) / machine.Disk, Prompt(model, budget, tokens, machine));
        double beyond = Math.Max(0, model.ReadBytes - budget), flops = model.PromptFlops * tokens;
        return machine.Gpu == 0 ? Math.Max(beyond / machine.Disk, flops / machine.CpuFlops) : Math.Max(beyond / machine.Link, flops / machine.GpuFlops);
    }
}
