namespace NativeBigModel.Planning;

/// <summary>llama.cpp's rule that the layers of a device follow each other.</summary>
internal static class ConsecutiveLayers
{
    /// <summary>The first position whose device was left before, or null where each device has its layers together.</summary>
    public static int? FirstGap(ReadOnlySpan<string> devices)
    {
        for (int i = 1; i < devices.Length; i++)
        {
            if (devices[i] != devices[i - 1] && devices[..i].Contains(devices[i])) return i;
        }
        return null;
    }
}
