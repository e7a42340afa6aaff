namespace NativeBigModel.Runtime;

/// <summary>SplitMix64 (Steele, Lea and Flood, 2014): the same numbers from the same seed, on every platform and in every version.</summary>
internal struct SeededRandom(ulong seed)
{
    private ulong _state = seed;

    /// <summary>A number from 0 to below 1, in steps of 2^-53.</summary>
    public double Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 11) * (1.0 / (1UL << 53));
    }
}
