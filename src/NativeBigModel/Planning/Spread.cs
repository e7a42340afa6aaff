namespace NativeBigModel.Planning;

/// <summary>
/// Which of a row of layers stay on a device while the others stream to it: as evenly between them as can be. The ring fills up while layers that stay are
/// computed one after another, and the link then stands still; in between streamed ones it never does.
/// </summary>
internal static class Spread
{
    /// <summary>The positions of <paramref name="staying"/> of <paramref name="count"/> layers.</summary>
    public static IEnumerable<int> Evenly(int staying, int count) => Enumerable.Range(0, staying).Select(i => (int)((2L * i + 1) * count / (2L * staying)));
}
