namespace NativeBigModel.Tests.Planning;

/// <summary>Compute buffers of no bytes, for tests whose models are a few hundred bytes wide and whose limits count weights and caches.</summary>
internal static class Uncounted
{
    public static readonly IReadOnlyDictionary<string, long> Compute = new Dictionary<string, long>();
}
