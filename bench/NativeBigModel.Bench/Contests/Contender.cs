using NativeBigModel.Bench.Models;

namespace NativeBigModel.Bench.Contests;

/// <summary>One model under one budget, as all contenders are asked to run it.</summary>
/// <param name="Model">The model.</param>
/// <param name="BudgetBytes">Bytes of the GPU, or of RAM where there is none.</param>
/// <param name="OnGpu">Which of both.</param>
/// <param name="Prompt">Tokens of the prompt.</param>
/// <param name="Tokens">Tokens generated after it.</param>
/// <param name="Work">A folder for what contenders write.</param>
/// <param name="RamBytes">Bytes of RAM that each is held to beside a budget of the GPU; null for all that there is.</param>
internal sealed record Case(SyntheticModel Model, long BudgetBytes, bool OnGpu, int Prompt, int Tokens, string Work, long? RamBytes = null)
{
    // Of RAM, what a process takes that computes on a GPU: its libraries, the driver's own, buffers.
    public const long Overhead = 3L << 30;

    public int Context => Math.Max(1024, (Prompt + Tokens + 255) / 256 * 256);

    /// <summary>Bytes of RAM for weights beside a budget of the GPU: more than any contender needs, unless they are held to less.</summary>
    public long HostBytes => RamBytes is { } ram ? ram - Overhead : Model.WeightBytes * 5 / 4 + (4L << 30);

    /// <summary>Bytes of RAM that a contender's process is held to; null for no limit.</summary>
    public long? CageBytes => OnGpu ? RamBytes : BudgetBytes;
}

/// <summary>One way to run a model that is larger than its budget: a program that prints what <c>nbm bench --json</c> prints.</summary>
/// <param name="Name">As results have it.</param>
internal abstract record Contender(string Name)
{
    /// <summary>Why it cannot run on this machine at all, in one sentence, or null.</summary>
    public virtual string? Absent => null;

    /// <summary>Whether it reads Hugging Face folders; else a GGUF file.</summary>
    public virtual bool ReadsFolder => false;

    /// <summary>Whether it takes what it takes, whatever the budget: it runs once a round.</summary>
    public virtual bool KnowsNoBudget(Case one) => false;

    /// <summary>Whether it is one for such a case.</summary>
    public abstract bool Takes(Case one);

    /// <summary>The program and its arguments.</summary>
    /// <param name="one">The case.</param>
    /// <param name="path">The file, or the folder.</param>
    public abstract IReadOnlyList<string> Command(Case one, string path);
}
