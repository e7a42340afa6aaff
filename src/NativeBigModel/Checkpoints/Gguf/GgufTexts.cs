using System.Buffers.Binary;
using System.Text;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>
/// An array of strings as a GGUF file has it. Most merges and many tokens go to the engine as they came, and hundreds of thousands of strings take longer to make than the
/// rest of a header takes to read.
/// </summary>
/// <param name="count">Strings.</param>
/// <param name="parts">Their entries, a length of eight bytes and valid UTF-8 each; none lies in two parts.</param>
internal sealed class GgufTexts(int count, IReadOnlyList<ReadOnlyMemory<byte>> parts)
{
    private string[]? _texts;

    public int Count => count;

    /// <summary>The bytes of all entries, in order.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Parts => parts;

    /// <summary>The strings; made when they are first asked for.</summary>
    public string[] Read() => _texts ??= Decode();

    private string[] Decode()
    {
        var texts = new string[count];
        int i = 0;
        foreach (ReadOnlyMemory<byte> part in parts)
        {
            for (ReadOnlySpan<byte> left = part.Span; left.Length > 0;)
            {
                int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(left);
                texts[i++] = Encoding.UTF8.GetString(left.Slice(sizeof(ulong), length));
                left = left[(sizeof(ulong) + length)..];
            }
        }
        return texts;
    }
}
