namespace NativeBigModel.Planning;

/// <summary>How many threads compute what a plan gives to the CPU.</summary>
internal static class ThreadChoice
{
    private const int FewCores = 2; // too few to do without one

    /// <summary>As many as were measured to read weights the fastest, else one for each core; null for a machine that nobody looked at.</summary>
    public static int? Of(Machine machine, bool streams) => (streams ? machine.Speeds?.ThreadsBesideLink : machine.Speeds?.Threads) ?? (machine.Cores is { } cores ? Of(cores, streams) : null);

    /// <summary>One thread for each core, and one fewer where layers are streamed: ggml's threads spin while they wait for each other, and one that shares its core with the loader holds up all.</summary>
    public static int Of(int cores, bool streams) => streams && cores > FewCores ? cores - 1 : cores;
}
