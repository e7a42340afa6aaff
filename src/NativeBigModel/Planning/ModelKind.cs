namespace NativeBigModel.Planning;

/// <summary>What a model computes, and so how it is driven.</summary>
public enum ModelKind
{
    /// <summary>Goes on from the tokens it is given.</summary>
    Decoder,
    /// <summary>Reads a text whole, then writes another: an encoder's layer and the decoder's of the same number share a place in a plan.</summary>
    EncoderDecoder,
    /// <summary>Turns a text into vectors; it has no cache and writes nothing.</summary>
    Encoder,
}
