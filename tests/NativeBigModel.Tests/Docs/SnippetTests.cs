using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace NativeBigModel.Tests;

/// <summary>
/// Every C# snippet of the documentation compiles, each as a program of its own with .NET's implicit usings. What a snippet takes for granted stands before it, invisible to
/// readers: <c>&lt;!-- given: BigModel model --&gt;</c>.
/// </summary>
public sealed partial class SnippetTests
{
    private const string Usings = "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;";

    private static readonly MetadataReference[] s_references =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Where(File.Exists).Select(static path => MetadataReference.CreateFromFile(path))];

    public static TheoryData<string> Pages =>
        [.. new[] { "README.md", "CONTRIBUTING.md" }.Concat(Below("docs")).Concat(Below("packaging")).Where(static page => File.Exists(Path.Combine(TestFolders.Repository, page)))];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_snippet_compiles(string page)
    {
        string text = File.ReadAllText(Path.Combine(TestFolders.Repository, page));
        foreach (Match snippet in Snippet().Matches(text))
        {
            Diagnostic[] problems = [.. Compile(snippet.Groups["code"].Value, snippet.Groups["given"].Value).Where(static problem => problem.Severity == DiagnosticSeverity.Error)];
            int line = text.AsSpan(0, snippet.Groups["code"].Index).Count('\n') + 1;
            Assert.True(problems.Length == 0, $"{page}, snippet at line {line}: {string.Join("; ", problems.Select(static problem => problem.ToString()))}\n{snippet.Groups["code"].Value}");
        }
    }

    [Fact]
    public void A_snippet_that_does_not_compile_is_noticed()
    {
        Assert.NotEmpty(Compile("model.GenerateLouder();", "BigModel model"));
        Assert.DoesNotContain(Compile("model.Dispose();", "BigModel model"), static problem => problem.Severity == DiagnosticSeverity.Error);
    }

    [Fact]
    public void The_guides_are_there_and_hold_snippets() =>
        Assert.True(Snippet().Count(File.ReadAllText(Path.Combine(TestFolders.Repository, "docs", "guide.md"))) >= 4);

    [Fact]
    public void Troubleshooting_quotes_what_the_code_says()
    {
        string code = string.Concat(Directory.EnumerateFiles(Path.Combine(TestFolders.Repository, "src"), "*.cs", SearchOption.AllDirectories).Where(static file => !file.Contains("/obj/", StringComparison.Ordinal)).Select(File.ReadAllText));
        string[] quoted = [.. Heading().Matches(File.ReadAllText(Path.Combine(TestFolders.Repository, "docs", "troubleshooting.md"))).Select(static heading => heading.Groups[1].Value)];
        Assert.NotEmpty(quoted);
        Assert.All(quoted, piece => Assert.Contains(piece, code, StringComparison.Ordinal));
    }

    [Fact]
    public void Sources_that_contributors_are_sent_to_are_there()
    {
        string[] sources = [.. new[] { "src", "native", "tests", "bench", "tools", "build" }.SelectMany(static folder => Directory.EnumerateFiles(Path.Combine(TestFolders.Repository, folder), "*", SearchOption.AllDirectories))
            .Select(static file => '/' + Path.GetRelativePath(TestFolders.Repository, file).Replace('\\', '/')).Where(static file => !file.Contains("/obj/", StringComparison.Ordinal))];
        foreach (string page in (string[])["CONTRIBUTING.md", Path.Combine("docs", "streaming.md"), Path.Combine("bench", "notes.md")])
        {
            string[] named = [.. Source().Matches(File.ReadAllText(Path.Combine(TestFolders.Repository, page))).Select(static name => name.Groups[1].Value)];
            Assert.NotEmpty(named);
            Assert.All(named.Where(static name => !name.Contains("NAME", StringComparison.Ordinal)), name => Assert.Contains(sources, file => file.EndsWith('/' + name, StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void Links_between_pages_lead_somewhere()
    {
        foreach (string page in Below("docs").Append("README.md"))
            foreach (Match link in Link().Matches(File.ReadAllText(Path.Combine(TestFolders.Repository, page))))
                Assert.True(Path.Exists(Path.Combine(TestFolders.Repository, Path.GetDirectoryName(page)!, link.Groups[1].Value)), $"{page}: {link.Groups[1].Value}");
    }

    private static IEnumerable<Diagnostic> Compile(string code, string given)
    {
        CompilationUnitSyntax parsed = SyntaxFactory.ParseCompilationUnit(code);
        string program = given.Length == 0
            ? code
            : $"using NativeBigModel; using NativeBigModel.Planning;\n{string.Concat(parsed.Usings.Where(static line => line.Name!.ToString() is not ("NativeBigModel" or "NativeBigModel.Planning")).Select(static line => line.ToFullString()))}"
                + $"static async Task Snippet({given}) {{\n{code[parsed.Usings.FullSpan.End..]}\nawait Task.CompletedTask; }}\nawait Task.CompletedTask;";
        CSharpParseOptions options = new(LanguageVersion.Preview);
        return CSharpCompilation.Create("Snippet",
            [CSharpSyntaxTree.ParseText(Usings, options), CSharpSyntaxTree.ParseText(program, options)], s_references,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable)).GetDiagnostics();
    }

    private static IEnumerable<string> Below(string folder)
    {
        string root = Path.Combine(TestFolders.Repository, folder);
        return Directory.Exists(root) ? Directory.EnumerateFiles(root, "*.md", SearchOption.AllDirectories).Select(static path => Path.GetRelativePath(TestFolders.Repository, path)).Order(StringComparer.Ordinal) : [];
    }

    [GeneratedRegex("[`(]([A-Za-z0-9_./]+\\.(?:cs|cpp|cu|h|py))[`)]")]
    private static partial Regex Source();

    [GeneratedRegex("(<!-- given: (?<given>[^>]*?) -->\n)?```csharp\n(?<code>.*?)```", RegexOptions.Singleline | RegexOptions.ExplicitCapture)]
    private static partial Regex Snippet();

    [GeneratedRegex("^### `(.*)`$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"\]\(([^)#:]+)(#[^)]*)?\)")]
    private static partial Regex Link();
}
