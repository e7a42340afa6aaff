namespace NativeBigModel.Runtime;

/// <summary>The tokens of one pass through the layers, of several sequences. Its arrays are pinned, since llama.cpp reads them in place.</summary>
internal sealed class PassBatch
{
    private readonly int[] _tokens;
    private readonly int[] _positions;
    private readonly int[] _sequences;
    private readonly int[] _sequenceCounts;
    private readonly nint[] _sequenceLists;
    private readonly sbyte[] _outputs;

    /// <param name="capacity">Most tokens.</param>
    /// <param name="maxOutputs">Most tokens whose logits are computed.</param>
    public unsafe PassBatch(int capacity, int maxOutputs)
    {
        (Capacity, MaxOutputs) = (capacity, maxOutputs);
        _tokens = GC.AllocateArray<int>(capacity, pinned: true);
        _positions = GC.AllocateArray<int>(capacity, pinned: true);
        _sequences = GC.AllocateArray<int>(capacity, pinned: true);
        _sequenceCounts = GC.AllocateArray<int>(capacity, pinned: true);
        _sequenceLists = GC.AllocateArray<nint>(capacity, pinned: true);
        _outputs = GC.AllocateArray<sbyte>(capacity, pinned: true);
        _sequenceCounts.AsSpan().Fill(1);
        for (int i = 0; i < capacity; i++) _sequenceLists[i] = (nint)(Pointer(_sequences) + i);
    }

    public int Capacity { get; }

    public int MaxOutputs { get; }

    public int Count { get; private set; }

    public int Outputs { get; private set; }

    public int Room => Capacity - Count;

    public int OutputRoom => MaxOutputs - Outputs;

    public void Clear() => (Count, Outputs) = (0, 0);

    /// <summary>Adds a token of a sequence at a position, with or without its logits.</summary>
    public void Add(int token, int position, int sequence, bool output)
    {
        _tokens[Count] = token;
        _positions[Count] = position;
        _sequences[Count] = sequence;
        _outputs[Count] = output ? (sbyte)1 : (sbyte)0;
        Count++;
        if (output) Outputs++;
    }

    /// <summary>Valid until the next change.</summary>
    public unsafe Native.LlamaBatch Native => new()
    {
        NTokens = Count, Token = Pointer(_tokens), Pos = Pointer(_positions), NSeqId = Pointer(_sequenceCounts), SeqId = (int**)Pointer(_sequenceLists), Logits = Pointer(_outputs),
    };

    private static unsafe T* Pointer<T>(T[] pinned) where T : unmanaged => (T*)System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);
}
