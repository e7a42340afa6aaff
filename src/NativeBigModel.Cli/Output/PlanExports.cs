using NativeBigModel.Planning;
using NativeBigModel.Planning.Exports;

namespace NativeBigModel.Cli;

/// <summary>A plan in the words of other programs: those on stdout, and what they cannot say on stderr.</summary>
internal static class PlanExports
{
    public static void PrintLlamaCpp(Plan plan, Checkpoint checkpoint)
    {
        LlamaCppExport export = LlamaCppExport.Of(plan, ModelFile(plan, checkpoint));
        Console.Out.WriteLine(export.ToCommandLine());
        foreach (string note in export.Notes) Console.Error.WriteLine($"note: {note}");
    }

    public static void PrintLlamaSharp(Plan plan, Checkpoint checkpoint) => Console.Out.WriteLine(LlamaSharpExport.ToJson(plan, ModelFile(plan, checkpoint)));

    // Others read GGUF only.
    private static string ModelFile(Plan plan, Checkpoint checkpoint)
    {
        bool asStored = plan.WeightType == WeightType.AsStored;
        if (checkpoint.Format == CheckpointFormat.Gguf && asStored) return checkpoint.Path;
        string file = $"{Path.GetFileNameWithoutExtension(checkpoint.Path)}{(asStored ? "" : $"-{plan.WeightType}")}.gguf";
        Console.Error.WriteLine($"note: the file is made by: nbm convert {checkpoint.Path} {file}{(asStored ? "" : $" --type {plan.WeightType}")}");
        return file;
    }
}
