using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>
/// What llama.cpp writes for the state of one sequence (llama_context::state_seq_write_data, llama_kv_cache::state_write, llama_memory_recurrent::state_write), checked before it reads it:
/// it allocates what the bytes say and asserts where they contradict each other.
/// </summary>
internal static class SequenceState
{
    // llama-context.cpp, io_magic.
    private const uint Magic = 0xaf143cd8;

    /// <summary>What is wrong with a state of so many tokens, or null.</summary>
    public static string? Problem(NativeBuffer state, int tokens, ModelShape shape)
    {
        using var reader = new BinaryReader(state.Open());
        try { return Walk(reader, state.Length, tokens, shape); }
        catch (EndOfStreamException) { return $"its keys and values end at {state.Length} bytes, within a field"; }
    }

    private static string? Walk(BinaryReader reader, long length, int tokens, ModelShape shape)
    {
        if (reader.ReadUInt32() is var magic && magic != Magic) return $"its keys and values begin with {magic:x8}, and llama.cpp's with {Magic:x8}";
        reader.ReadInt32(); // the sequence that it was
        if (shape.Layers.Any(layer => layer.State is not null)) return Recurrent(reader, tokens);
        bool values = shape.Layers.All(layer => layer.Latent is null);
        if (Attention(reader, length, tokens, values, all: true) is { } problem) return problem;
        // Windowed layers have a cache of their own, which forgets.
        if (reader.BaseStream.Position < length && Attention(reader, length, tokens, values, all: false) is { } second) return second;
        return reader.BaseStream.Position == length ? null : $"its keys and values have {length} bytes, and {reader.BaseStream.Position} are described";
    }

    private static string? Recurrent(BinaryReader reader, int tokens)
    {
        (uint cells, int position, uint sequences) = (reader.ReadUInt32(), reader.ReadInt32(), reader.ReadUInt32());
        return cells == 1 && position == tokens - 1 && sequences == 0 ? null : $"its state has {cells} cells, the first at position {position}, and {tokens} tokens have one at {tokens - 1}";
    }

    private static string? Attention(BinaryReader reader, long length, int tokens, bool values, bool all)
    {
        if (reader.ReadUInt32() is var streams && streams == 0) return "its keys and values have no stream";
        for (uint stream = 0; stream < streams; stream++)
        {
            uint cells = reader.ReadUInt32();
            if (cells == 0 && streams > 1) continue;
            if (cells > tokens || (all && cells != tokens)) return $"its keys and values are of {cells} tokens, and the session holds {tokens}";
            var seen = new HashSet<int>();
            for (uint cell = 0; cell < cells; cell++)
            {
                (int position, uint sequences) = (reader.ReadInt32(), reader.ReadUInt32());
                if (position < 0 || position >= tokens || !seen.Add(position)) return $"cell {cell} is of position {position}, once more or outside the {tokens} tokens";
                if (sequences != 1) return $"cell {cell} is of {sequences} sequences, and a session is one";
                reader.ReadInt32();
            }
            if (Rows(reader, length, cells, values) is { } problem) return problem;
        }
        return null;
    }

    // Each layer's keys, then each layer's values: a type, the bytes of a token, and those bytes for each token. Values that lie transposed have the bytes of an element and a count.
    private static string? Rows(BinaryReader reader, long length, uint cells, bool values)
    {
        bool transposed = reader.ReadUInt32() != 0;
        uint layers = reader.ReadUInt32();
        for (uint layer = 0; layer < layers; layer++)
        {
            reader.ReadInt32();
            if (Skip(reader, length, reader.ReadUInt64(), cells) is { } problem) return problem;
        }
        for (uint layer = 0; values && layer < layers; layer++)
        {
            reader.ReadInt32();
            ulong row = transposed ? (ulong)reader.ReadUInt32() * reader.ReadUInt32() : reader.ReadUInt64();
            if (Skip(reader, length, row, cells) is { } problem) return problem;
        }
        return null;
    }

    private static string? Skip(BinaryReader reader, long length, ulong row, uint cells)
    {
        long left = length - reader.BaseStream.Position;
        if ((UInt128)row * cells > (UInt128)left) return $"rows of {row} bytes for {cells} tokens, and {left} bytes are left";
        reader.BaseStream.Seek((long)row * cells, SeekOrigin.Current);
        return null;
    }
}
