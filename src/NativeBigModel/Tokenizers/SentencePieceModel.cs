using System.Text;
using Google.Protobuf;

namespace NativeBigModel.Tokenizers;

/// <summary>One entry of a SentencePiece vocabulary; the types' numbers are GGUF's token types.</summary>
internal readonly record struct Piece(string Text, float Score, TokenKind Kind);

/// <summary>The parts of tokenizer.model that matter here (google/sentencepiece, sentencepiece_model.proto).</summary>
internal sealed class SentencePieceModel
{
    public const int Unigram = 1;
    private const int Bpe = 2;

    private SentencePieceModel() { }

    public List<Piece> Pieces { get; } = [];

    public int Algorithm { get; private set; } = Unigram;

    public bool AddDummyPrefix { get; private set; } = true;

    public bool RemoveExtraWhitespaces { get; private set; } = true;

    public bool EscapeWhitespaces { get; private set; } = true;

    public bool WhitespaceAsSuffix { get; private set; }

    public byte[]? CharacterMap { get; private set; }

    public bool IsBpe => Algorithm == Bpe;

    public static SentencePieceModel Parse(byte[] bytes)
    {
        SentencePieceModel model = new();
        CodedInputStream input = new(bytes);
        try
        {
            model.ReadModel(input);
        }
        catch (Exception error) when (error is InvalidProtocolBufferException or IOException or DecoderFallbackException or InvalidOperationException)
        {
            throw new CheckpointException(TokenizerFiles.SentencePiece, $"byte {input.Position} of {bytes.Length}", $"not a SentencePiece model: {error.Message}", error);
        }
        return model.Pieces.Count > 0 ? model : throw new CheckpointException(TokenizerFiles.SentencePiece, "pieces", "0, and at least 1 is needed");
    }

    private void ReadModel(CodedInputStream input)
    {
        for (uint tag; (tag = input.ReadTag()) != 0;)
        {
            if (!IsMessage(tag))
            {
                input.SkipLastField();
                continue;
            }
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case 1: ReadPiece(Nested(input)); break;
                case 2: ReadTrainerSpec(Nested(input)); break;
                case 3: ReadNormalizerSpec(Nested(input)); break;
                default: input.SkipLastField(); break;
            }
        }
    }

    private void ReadPiece(CodedInputStream input)
    {
        (string text, float score, TokenKind kind) = ("", 0, TokenKind.Normal);
        for (uint tag; (tag = input.ReadTag()) != 0;)
        {
            switch (tag)
            {
                case 1 << 3 | 2: text = Utf8.Strict.GetString(input.ReadBytes().Span); break;
                case 2 << 3 | 5: score = input.ReadFloat(); break;
                case 3 << 3: kind = (TokenKind)input.ReadEnum(); break;
                default: input.SkipLastField(); break;
            }
        }
        string field = $"piece {Pieces.Count}";
        if (!float.IsFinite(score)) throw new CheckpointException(TokenizerFiles.SentencePiece, field, $"the score {score} of \"{text}\" is not finite");
        if (!Enum.IsDefined(kind)) throw new CheckpointException(TokenizerFiles.SentencePiece, field, $"type {(int)kind}, and 1 to 6 are known");
        Pieces.Add(new(text, score, kind));
    }

    private void ReadTrainerSpec(CodedInputStream input)
    {
        for (uint tag; (tag = input.ReadTag()) != 0;)
        {
            switch (tag)
            {
                case 3 << 3: Algorithm = input.ReadEnum(); break;
                case 24 << 3: WhitespaceAsSuffix = input.ReadBool(); break;
                default: input.SkipLastField(); break;
            }
        }
    }

    private void ReadNormalizerSpec(CodedInputStream input)
    {
        for (uint tag; (tag = input.ReadTag()) != 0;)
        {
            switch (tag)
            {
                case 2 << 3 | 2: CharacterMap = input.ReadBytes() is { IsEmpty: false } map ? map.ToByteArray() : null; break;
                case 3 << 3: AddDummyPrefix = input.ReadBool(); break;
                case 4 << 3: RemoveExtraWhitespaces = input.ReadBool(); break;
                case 5 << 3: EscapeWhitespaces = input.ReadBool(); break;
                default: input.SkipLastField(); break;
            }
        }
    }

    private static bool IsMessage(uint tag) => WireFormat.GetTagWireType(tag) is WireFormat.WireType.LengthDelimited;

    // ReadBytes checks the length against what is left of the file before it allocates.
    private static CodedInputStream Nested(CodedInputStream input) => input.ReadBytes().CreateCodedInput();
}
