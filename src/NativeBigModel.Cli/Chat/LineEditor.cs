using System.Globalization;
using System.Text;
using Spectre.Console;

namespace NativeBigModel.Cli.Chat;

/// <summary>
/// Reads lines from a terminal, with editing, history and completion of commands. Lines that are longer than the terminal is wide scroll sideways, and several lines
/// that are pasted at once are one text.
/// </summary>
internal sealed class LineEditor(InputHistory history, IReadOnlyList<string> completions) : IChatInput
{
    private const string Prompt = "› ";
    private const string Continuation = "… ";
    private const char LineBreak = '⏎';

    private readonly LineBuffer _line = new();
    private string _draft = "";
    private int _entry;

    /// <inheritdoc/>
    public ChatLine Read()
    {
        var whole = new StringBuilder();
        while (true)
        {
            ChatLine line = ReadLine(whole.Length == 0 ? Prompt : Continuation);
            bool last = line.Text?.EndsWith('\\') is not true;
            if (line.Text is not null) whole.Append(line.Text);
            if (last && line.Text is not null) history.Add(whole.ToString());
            // Last of all: whoever sees the line end may interrupt what comes.
            Console.Out.WriteLine();
            if (line.Text is null) return line;
            if (last) return new(whole.ToString());
            whole[^1] = '\n';
        }
    }

    // Ctrl-C is a key while a line is typed, and a signal while an answer comes.
    private ChatLine ReadLine(string prompt)
    {
        Console.TreatControlCAsInput = true;
        try { return ReadKeys(prompt); }
        finally { Console.TreatControlCAsInput = false; }
    }

    private ChatLine ReadKeys(string prompt)
    {
        _line.Set("");
        (_entry, _draft) = (history.Entries.Count, "");
        while (true)
        {
            Draw(prompt);
            ConsoleKeyInfo key = Console.ReadKey(intercept: true);
            bool control = key.Modifiers.HasFlag(ConsoleModifiers.Control);
            switch (key.Key)
            {
                case ConsoleKey.Enter when Console.KeyAvailable || key.Modifiers.HasFlag(ConsoleModifiers.Alt):
                    _line.Insert("\n");
                    break;
                case ConsoleKey.Enter:
                    _line.End();
                    Draw(prompt);
                    return new(_line.Text);
                case ConsoleKey.C when control:
                    return new(null, Interrupted: true);
                case ConsoleKey.D when control && _line.Text.Length == 0:
                    return new(null);
                case ConsoleKey.L when control:
                    Console.Out.Write("\e[H\e[2J");
                    break;
                default:
                    Edit(key, control);
                    break;
            }
        }
    }

    private void Edit(ConsoleKeyInfo key, bool control)
    {
        switch (key.Key)
        {
            case ConsoleKey.LeftArrow when control: _line.WordLeft(); break;
            case ConsoleKey.RightArrow when control: _line.WordRight(); break;
            case ConsoleKey.LeftArrow or ConsoleKey.B when key.Key is ConsoleKey.LeftArrow || control: _line.Left(); break;
            case ConsoleKey.RightArrow or ConsoleKey.F when key.Key is ConsoleKey.RightArrow || control: _line.Right(); break;
            case ConsoleKey.Home or ConsoleKey.A when key.Key is ConsoleKey.Home || control: _line.Home(); break;
            case ConsoleKey.End or ConsoleKey.E when key.Key is ConsoleKey.End || control: _line.End(); break;
            case ConsoleKey.Backspace when control: _line.DeleteWordBefore(); break;
            case ConsoleKey.Backspace: _line.DeleteBefore(); break;
            case ConsoleKey.H when control: _line.DeleteBefore(); break;
            case ConsoleKey.Delete or ConsoleKey.D when key.Key is ConsoleKey.Delete || control: _line.DeleteAfter(); break;
            case ConsoleKey.W when control: _line.DeleteWordBefore(); break;
            case ConsoleKey.U when control: _line.DeleteToStart(); break;
            case ConsoleKey.K when control: _line.DeleteToEnd(); break;
            case ConsoleKey.UpArrow: Recall(_entry - 1); break;
            case ConsoleKey.DownArrow: Recall(_entry + 1); break;
            case ConsoleKey.Tab: Complete(); break;
            default:
                if (!char.IsControl(key.KeyChar) && !control) _line.Insert(key.KeyChar.ToString());
                break;
        }
    }

    private void Recall(int entry)
    {
        if (entry < 0 || entry > history.Entries.Count) return;
        if (_entry == history.Entries.Count) _draft = _line.Text;
        _entry = entry;
        _line.Set(entry < history.Entries.Count ? history.Entries[entry] : _draft);
    }

    private void Complete()
    {
        string[] fitting = [.. completions.Where(word => _line.Text.Length > 0 && word.StartsWith(_line.Text, StringComparison.Ordinal))];
        if (fitting.Length == 0) return;
        int common = fitting.Min(word => word.Length);
        while (fitting.Any(word => word[..common] != fitting[0][..common])) common--;
        _line.Set(fitting[0][..common] + (fitting.Length == 1 ? " " : ""));
    }

    private void Draw(string prompt)
    {
        int room = Math.Max(8, WindowWidth() - prompt.Length - 1);
        string before = Shown(_line.Text[.._line.Cursor]), after = Shown(_line.Text[_line.Cursor..]);
        before = Fitting(before, room, fromEnd: true);
        after = Fitting(after, room - before.GetCellWidth(), fromEnd: false);
        Console.Out.Write($"\r\e[36m{prompt}\e[0m{before}{after}\e[K\r\e[{prompt.Length + before.GetCellWidth()}C");
    }

    private static string Shown(string text) => string.Concat(text.Select(c => c == '\n' ? LineBreak : char.IsControl(c) ? ' ' : c));

    private static string Fitting(string text, int cells, bool fromEnd)
    {
        string[] elements = Elements(text);
        int taken = 0, width = 0;
        foreach (string element in fromEnd ? elements.Reverse() : elements)
        {
            width += element.GetCellWidth();
            if (width > cells) break;
            taken++;
        }
        return string.Concat(fromEnd ? elements[^taken..] : elements[..taken]);
    }

    private static string[] Elements(string text)
    {
        TextElementEnumerator elements = StringInfo.GetTextElementEnumerator(text);
        List<string> all = [];
        while (elements.MoveNext()) all.Add(elements.GetTextElement());
        return [.. all];
    }

    private static int WindowWidth()
    {
        try { return Console.WindowWidth; }
        catch (IOException) { return 80; }
    }
}
