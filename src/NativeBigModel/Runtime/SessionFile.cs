using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>
/// A session in a file: a magic number, a header in JSON with its length before it, the tokens, the engine's state of the sequence, and the SHA-256 of all that.
/// The header names what must agree for the state to mean the same.
/// </summary>
internal static class SessionFile
{
    private const int MaxHeader = 1 << 16;
    private const int Piece = 1 << 22;
    private static ReadOnlySpan<byte> Magic => "NBMSESS1"u8;

    internal sealed record Header(string Model, string Shape, string WeightType, string KvType, int Tokens, int HeldTokens, long StateBytes);

    /// <summary>Writes beside the place and renames.</summary>
    /// <exception cref="UnsupportedModelException">The state is of a kind that <see cref="Read"/> would refuse.</exception>
    public static void Write(string path, BigModel model, int[] tokens, int held, NativeBuffer? state, CancellationToken cancel)
    {
        if (state is not null && SequenceState.Problem(state, held, model.Shape) is { } problem) throw new UnsupportedModelException($"sessions of this model cannot be saved: {problem}");
        string beside = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var file = new FileStream(beside, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 16))
            {
                using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                void Put(ReadOnlySpan<byte> bytes)
                {
                    file.Write(bytes);
                    hash.AppendData(bytes);
                }
                Header header = Describe(model) with { Tokens = tokens.Length, HeldTokens = held, StateBytes = state?.Length ?? 0 };
                byte[] json = JsonSerializer.SerializeToUtf8Bytes(header, SessionFileJson.Default.Header);
                Put(Magic);
                Put(Number(json.Length));
                Put(json);
                foreach (int token in tokens) Put(Number(token));
                if (state is not null) Copy(state.Open(), state.Length, Put, cancel);
                file.Write(hash.GetHashAndReset());
            }
            File.Move(beside, path, overwrite: true);
        }
        catch
        {
            File.Delete(beside);
            throw;
        }
    }

    /// <summary>Reads and checks everything; the state is null where no tokens are held.</summary>
    /// <exception cref="SessionFileException">The file is damaged, or of another model.</exception>
    public static (int[] Tokens, int Held, NativeBuffer? State) Read(string path, BigModel model, CancellationToken cancel)
    {
        string name = Path.GetFileName(path);
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] Take(int count, bool hashed = true)
        {
            if (file.Length - file.Position < count) throw new SessionFileException(name, $"it ends at {file.Length} bytes, and {file.Position + count} are needed");
            var bytes = new byte[count];
            file.ReadExactly(bytes);
            if (hashed) hash.AppendData(bytes);
            return bytes;
        }
        if (!Take(Magic.Length).AsSpan().SequenceEqual(Magic)) throw new SessionFileException(name, "it is no saved session");
        int length = BinaryPrimitives.ReadInt32LittleEndian(Take(sizeof(int)));
        if (length is < 2 or > MaxHeader) throw new SessionFileException(name, $"its header has {length} bytes, and at most {MaxHeader} are allowed");
        Header header = Parse(name, Take(length));
        Require(name, header, model);
        long expected = file.Position + 4L * header.Tokens + header.StateBytes + SHA256.HashSizeInBytes;
        if (header.StateBytes > file.Length || file.Length != expected) throw new SessionFileException(name, $"it has {file.Length} bytes, and its header says {expected}");
        int[] tokens = [.. MemoryMarshal.Cast<byte, int>(Take(4 * header.Tokens))];
        if (tokens.AsSpan().IndexOfAnyExceptInRange(0, model.Tokenizer.TokenCount - 1) is >= 0 and var at)
            throw new SessionFileException(name, $"token {tokens[at]} at position {at}: the vocabulary has {model.Tokenizer.TokenCount}");
        NativeBuffer? state = header.StateBytes > 0 ? new NativeBuffer(header.StateBytes) : null;
        try
        {
            if (state is not null)
            {
                using UnmanagedMemoryStream memory = state.Open();
                Copy(file, header.StateBytes, bytes =>
                {
                    memory.Write(bytes);
                    hash.AppendData(bytes);
                }, cancel);
            }
            if (!Take(SHA256.HashSizeInBytes, hashed: false).AsSpan().SequenceEqual(hash.GetHashAndReset())) throw new SessionFileException(name, "its checksum is not that of its bytes");
            if (state is not null && SequenceState.Problem(state, header.HeldTokens, model.Shape) is { } problem) throw new SessionFileException(name, problem);
            return (tokens, header.HeldTokens, state);
        }
        catch
        {
            state?.Dispose();
            throw;
        }
    }

    private static Header Parse(string name, byte[] json)
    {
        try { return JsonSerializer.Deserialize(json, SessionFileJson.Default.Header) ?? throw new SessionFileException(name, "its header is null"); }
        catch (JsonException error) { throw new SessionFileException(name, $"its header is not read: {error.Message}"); }
    }

    private static void Require(string name, Header header, BigModel model)
    {
        Header own = Describe(model);
        foreach ((string what, string saved, string here) in ((string, string, string)[])
            [("model", header.Model, own.Model), ("shape", header.Shape, own.Shape), ("weight type", header.WeightType, own.WeightType), ("KV type", header.KvType, own.KvType)])
        {
            if (saved != here) throw new SessionFileException(name, $"it is a session of another model: its {what} is {saved}, and this one's {here}");
        }
        if (header.Tokens < 0 || header.HeldTokens < 0 || header.HeldTokens > header.Tokens || header.StateBytes < 0 || header.StateBytes > 0 != header.HeldTokens > 0)
            throw new SessionFileException(name, $"its header has {header.Tokens} tokens, {header.HeldTokens} of them held in {header.StateBytes} bytes");
        if (header.Tokens > model.Plan.ContextLength) throw new ContextFullException(header.Tokens, model.Plan.ContextLength);
    }

    private static Header Describe(BigModel model) => new(model.Plan.Model, ShapeOf(model.Shape), model.Plan.WeightType.ToString(), model.Plan.KvType.ToString(), 0, 0, 0);

    // Two models whose tensors have the same names, shapes and types cannot be told apart but by their name.
    private static string ShapeOf(ModelShape shape)
    {
        var text = new StringBuilder(shape.Architecture);
        foreach (TensorSpec tensor in shape.Tensors) text.Append(' ').Append(tensor.Name).Append(':').Append(tensor.Type).Append(':').AppendJoin('x', tensor.Dimensions);
        return Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())), 0, 8);
    }

    private static byte[] Number(int value)
    {
        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return bytes;
    }

    private delegate void Sink(ReadOnlySpan<byte> bytes);

    private static void Copy(Stream from, long length, Sink to, CancellationToken cancel)
    {
        var piece = new byte[(int)Math.Min(Piece, length)];
        for (long done = 0; done < length; done += piece.Length)
        {
            cancel.ThrowIfCancellationRequested();
            Span<byte> next = piece.AsSpan(0, (int)Math.Min(piece.Length, length - done));
            from.ReadExactly(next);
            to(next);
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(SessionFile.Header))]
internal sealed partial class SessionFileJson : JsonSerializerContext;
