namespace NativeBigModel.Tokenizers;

/// <summary>The parts of a text that are text and nothing else: ranges [Begin, End), ascending and apart.</summary>
internal sealed class LiteralRanges(IReadOnlyList<(int Begin, int End)> ranges)
{
    public bool Overlap(int begin, int end)
    {
        // The first range that ends behind the beginning.
        (int low, int high) = (0, ranges.Count);
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (ranges[middle].End > begin) high = middle;
            else low = middle + 1;
        }
        return low < ranges.Count && ranges[low].Begin < end;
    }
}
