namespace NativeBigModel;

/// <summary>How the vectors of a text's tokens become one. The values are those of GGUF's <c>pooling_type</c>.</summary>
public enum Pooling
{
    /// <summary>Their mean.</summary>
    Mean = 1,
    /// <summary>That of the first token, BERT's [CLS].</summary>
    Cls = 2,
    /// <summary>That of the last token.</summary>
    Last = 3,
}
