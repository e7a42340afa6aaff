namespace NativeBigModel.Native;

/// <summary>The text that the plug-in writes where a call fails.</summary>
internal static unsafe class NbmErrors
{
    /// <summary>Bytes of memory for it; what is longer is cut.</summary>
    public const int Bytes = 512;

    internal delegate NbmStatus Call(byte* error, nuint size);

    /// <summary>Why a call failed, or null where it did not.</summary>
    public static string? Of(Call call)
    {
        byte* error = stackalloc byte[Bytes];
        return call(error, Bytes) == NbmStatus.Ok ? null : Utf8.Text(error);
    }
}
