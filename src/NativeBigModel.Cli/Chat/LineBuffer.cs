using System.Globalization;

namespace NativeBigModel.Cli.Chat;

/// <summary>A line that is being typed, and the cursor in it. The cursor moves by what a reader sees as one character.</summary>
internal sealed class LineBuffer
{
    /// <summary>What is typed so far.</summary>
    public string Text { get; private set; } = "";

    /// <summary>The place in <see cref="Text"/> before which typing goes on.</summary>
    public int Cursor { get; private set; }

    public void Set(string text) => (Text, Cursor) = (text, text.Length);

    public void Insert(string text) => (Text, Cursor) = (Text.Insert(Cursor, text), Cursor + text.Length);

    public void Left() => Cursor = Before(Cursor);

    public void Right() => Cursor = After(Cursor);

    public void Home() => Cursor = 0;

    public void End() => Cursor = Text.Length;

    public void WordLeft() => Cursor = WordBefore();

    public void WordRight()
    {
        while (Cursor < Text.Length && char.IsWhiteSpace(Text[Cursor])) Right();
        while (Cursor < Text.Length && !char.IsWhiteSpace(Text[Cursor])) Right();
    }

    public void DeleteBefore() => Remove(Before(Cursor), Cursor);

    public void DeleteAfter() => Remove(Cursor, After(Cursor));

    public void DeleteWordBefore() => Remove(WordBefore(), Cursor);

    public void DeleteToStart() => Remove(0, Cursor);

    public void DeleteToEnd() => Remove(Cursor, Text.Length);

    private void Remove(int begin, int end) => (Text, Cursor) = (Text.Remove(begin, end - begin), begin);

    private int Before(int place) => StringInfo.ParseCombiningCharacters(Text).LastOrDefault(start => start < place);

    private int After(int place) => place < Text.Length ? place + StringInfo.GetNextTextElementLength(Text, place) : place;

    private int WordBefore()
    {
        int place = Cursor;
        while (place > 0 && char.IsWhiteSpace(Text[place - 1])) place--;
        while (place > 0 && !char.IsWhiteSpace(Text[place - 1])) place--;
        return place;
    }
}
