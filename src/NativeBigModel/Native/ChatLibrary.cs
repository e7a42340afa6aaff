using System.Runtime.InteropServices;
using System.Text;

namespace NativeBigModel.Native;

/// <summary>
/// native/chat/nbm_chat.h: loaded when first needed, from beside the engines. It has no use for an engine, and is bound by address, so that none is needed.
/// </summary>
internal static unsafe class ChatLibrary
{
    // A thread of its own knows how much stack it has.
    private const int StackBytes = 16 << 20;
    private const int StackInUse = 1 << 20;
    private const int ErrorBytes = 2048;

    private static readonly Lazy<Functions> s_functions = new(Load, LazyThreadSafetyMode.PublicationOnly);

    private enum Status { Ok = 0, Invalid = 1, Template = 2, Budget = 3 }

    /// <summary>The text, and the characters [Begin, End) of it that were input.</summary>
    /// <exception cref="ChatTemplateException">The template is not valid, refuses the messages or is over its budget.</exception>
    public static (string Text, List<(int Begin, int End)> Input) Render(string name, string template, byte[] request)
    {
        (Status status, string words, byte[] text, (ulong Begin, ulong End)[] spans) =
            Call(Encoding.UTF8.GetBytes(template), request, (library, source, json, budget, result, error) => library.Render(source, json, budget, result, error, ErrorBytes));
        if (status is not Status.Ok) throw new ChatTemplateException(name, words);
        StringBuilder all = new();
        List<(int, int)> input = [];
        int done = 0;
        foreach ((ulong begin, ulong end) in spans)
        {
            all.Append(Encoding.UTF8.GetString(text.AsSpan(done, (int)begin - done)));
            int from = all.Length;
            all.Append(Encoding.UTF8.GetString(text.AsSpan((int)begin, (int)(end - begin))));
            input.Add((from, all.Length));
            done = (int)end;
        }
        return (all.Append(Encoding.UTF8.GetString(text.AsSpan(done))).ToString(), input);
    }

    /// <summary>What a template understands, as JSON.</summary>
    /// <exception cref="ChatTemplateException">It is not valid, or over its budget.</exception>
    public static string Capabilities(string name, string template)
    {
        (Status status, string words, byte[] text, _) =
            Call(Encoding.UTF8.GetBytes(template), [], (library, source, _, budget, result, error) => library.Capabilities(source, budget, result, error, ErrorBytes));
        return status is Status.Ok ? Encoding.UTF8.GetString(text) : throw new ChatTemplateException(name, words);
    }

    /// <summary>How a model with this template writes its answers, as JSON for <see cref="Parse"/>.</summary>
    /// <exception cref="ChatTemplateException">The template is not valid, refuses the messages or is over its budget.</exception>
    public static string Format(string name, string template, byte[] request)
    {
        (Status status, string words, byte[] text, _) =
            Call(Encoding.UTF8.GetBytes(template), request, (library, source, json, budget, result, error) => library.Format(source, json, budget, result, error, ErrorBytes));
        return status is Status.Ok ? Encoding.UTF8.GetString(text) : throw new ChatTemplateException(name, words);
    }

    /// <summary>An answer in its parts, as JSON; null where it is none in this format.</summary>
    public static string? Parse(byte[] format, string answer, bool partial)
    {
        (Status status, _, byte[] text, _) =
            Call(format, Encoding.UTF8.GetBytes(answer), (library, one, other, budget, result, error) => library.Parse(one, other, partial ? 1u : 0, budget, result, error, ErrorBytes));
        return status is Status.Ok ? Encoding.UTF8.GetString(text) : null;
    }

    /// <summary>The grammar of a JSON schema.</summary>
    /// <exception cref="InvalidOptionException">The schema is none, or asks for what no grammar says.</exception>
    public static string Grammar(string schema)
    {
        (Status status, string words, byte[] text, _) =
            Call(Encoding.UTF8.GetBytes(schema), [], (library, json, _, budget, result, error) => library.Grammar(json, budget, result, error, ErrorBytes));
        return status is Status.Ok ? Encoding.UTF8.GetString(text) : throw new InvalidOptionException($"JSON schema: {words}");
    }

    private delegate Status NativeCall(Functions library, Text one, Text other, Budget* budget, nint* result, byte* error);

    private static (Status, string Error, byte[] Text, (ulong, ulong)[] Spans) Call(byte[] one, byte[] other, NativeCall call)
    {
        Functions library = s_functions.Value;
        (Status, string, byte[], (ulong, ulong)[]) answer = default;
        Thread thread = new(() =>
        {
            Budget budget = new() { Stack = StackBytes - StackInUse, Memory = 1 << 30, Time = 5000 };
            byte* error = stackalloc byte[ErrorBytes];
            nint result = 0;
            fixed (byte* first = one)
            fixed (byte* second = other)
            {
                Status status = call(library, new Text { Bytes = first, Length = (ulong)one.Length }, new Text { Bytes = second, Length = (ulong)other.Length }, &budget, &result, error);
                answer = status is Status.Ok ? Take(library, result) : (status, Utf8.Text(error), [], []);
            }
        }, StackBytes);
        thread.Start();
        thread.Join();
        return answer;
    }

    private static (Status, string, byte[], (ulong, ulong)[]) Take(Functions library, nint result)
    {
        try
        {
            Text text = library.ResultText(result);
            ulong count = 0;
            Span* spans = library.ResultSpans(result, &count);
            var input = new (ulong, ulong)[(int)count];
            for (int i = 0; i < input.Length; i++) input[i] = (spans[i].Begin, spans[i].End);
            return (Status.Ok, "", new ReadOnlySpan<byte>(text.Bytes, checked((int)text.Length)).ToArray(), input);
        }
        finally { library.ResultFree(result); }
    }

    private static Functions Load()
    {
        List<string> refusals = [];
        foreach (string path in Candidates())
        {
            try { return new Functions(NativeLibrary.Load(path), path); }
            catch (Exception refusal) when (refusal is DllNotFoundException or BadImageFormatException or EntryPointNotFoundException)
            {
                refusals.Add($"{path} ({(File.Exists(path) ? EngineLibrary.LoaderReason(refusal.Message) : "there is no such file")})");
            }
        }
        throw new EngineException($"chat templates and grammars need the chat library, which could not be loaded; tried {string.Join("; ", refusals)}");
    }

    // Beside the engines or in one's folder, wherever an engine would be looked for.
    private static IEnumerable<string> Candidates() => EngineFolder
        .Candidates(null, Environment.GetEnvironmentVariable("NBM_ENGINE_PATH"), EngineLibrary.Places(), EngineFolder.Rid, EngineKind.Cpu, cudaDriver: false)
        .SelectMany(folder => new[] { folder, Path.GetDirectoryName(folder) ?? folder }).Append(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory))
        .Distinct().Select(folder => Path.Combine(folder, FileName));

    private static string FileName => OperatingSystem.IsWindows() ? "nbm_chat.dll" : OperatingSystem.IsMacOS() ? "libnbm_chat.dylib" : "libnbm_chat.so";

    [StructLayout(LayoutKind.Sequential)]
    private struct Text
    {
        public byte* Bytes;
        public ulong Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Budget
    {
        public ulong Stack;
        public ulong Memory;
        public ulong Time;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Span
    {
        public ulong Begin;
        public ulong End;
    }

    private sealed class Functions
    {
        public readonly delegate* unmanaged[Cdecl]<Text, Text, Budget*, nint*, byte*, nuint, Status> Render;
        public readonly delegate* unmanaged[Cdecl]<Text, Text, Budget*, nint*, byte*, nuint, Status> Format;
        public readonly delegate* unmanaged[Cdecl]<Text, Text, uint, Budget*, nint*, byte*, nuint, Status> Parse;
        public readonly delegate* unmanaged[Cdecl]<Text, Budget*, nint*, byte*, nuint, Status> Grammar;
        public readonly delegate* unmanaged[Cdecl]<Text, Budget*, nint*, byte*, nuint, Status> Capabilities;
        public readonly delegate* unmanaged[Cdecl]<nint, Text> ResultText;
        public readonly delegate* unmanaged[Cdecl]<nint, ulong*, Span*> ResultSpans;
        public readonly delegate* unmanaged[Cdecl]<nint, void> ResultFree;

        public Functions(nint library, string path)
        {
            nint Find(string name) => NativeLibrary.GetExport(library, "nbm_chat_" + name);
            Render = (delegate* unmanaged[Cdecl]<Text, Text, Budget*, nint*, byte*, nuint, Status>)Find("render");
            Format = (delegate* unmanaged[Cdecl]<Text, Text, Budget*, nint*, byte*, nuint, Status>)Find("format");
            Parse = (delegate* unmanaged[Cdecl]<Text, Text, uint, Budget*, nint*, byte*, nuint, Status>)Find("parse");
            Grammar = (delegate* unmanaged[Cdecl]<Text, Budget*, nint*, byte*, nuint, Status>)Find("grammar");
            Capabilities = (delegate* unmanaged[Cdecl]<Text, Budget*, nint*, byte*, nuint, Status>)Find("capabilities");
            ResultText = (delegate* unmanaged[Cdecl]<nint, Text>)Find("result_text");
            ResultSpans = (delegate* unmanaged[Cdecl]<nint, ulong*, Span*>)Find("result_spans");
            ResultFree = (delegate* unmanaged[Cdecl]<nint, void>)Find("result_free");
            uint budget = 0, span = 0;
            ((delegate* unmanaged[Cdecl]<uint*, uint*, void>)Find("abi_sizes"))(&budget, &span);
            if (budget != sizeof(Budget) || span != sizeof(Span))
                throw new EngineException($"{path} is of another version: its structs take {budget} and {span} bytes, and {sizeof(Budget)} and {sizeof(Span)} are bound");
        }
    }
}
