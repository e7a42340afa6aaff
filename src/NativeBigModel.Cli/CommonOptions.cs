using System.CommandLine;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli;

/// <summary>Options that several commands have, made anew for each.</summary>
internal static class CommonOptions
{
    private const string JsonName = "--json";

    public static Argument<string> Path() => new("PATH") { Description = "A Hugging Face folder or a GGUF file" };

    public static Option<bool> Json() => new(JsonName) { Description = "Print one JSON object" };

    public static Option<string?> Type() => new("--type") { Description = "Store the weights as F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, ...; as they are unless given", HelpName = "T" };

    public static Option<string?> MaxMemory() => new("--max-memory") { Description = "Bytes each device may hold, such as 0=10GiB,1=10GiB,cpu=20GiB; all that is free unless given", HelpName = "DEVICE=SIZE,..." };

    public static Option<int?> Context() => new("--context") { Description = $"Tokens one conversation may hold; {PlanOptions.DefaultContextLength} or the model's own unless given", HelpName = "N" };

    public static Option<string> KvType() => new("--kv-type") { Description = "Type of the KV cache: F16, BF16, F32, Q8_0 or Q4_0", HelpName = "T", DefaultValueFactory = _ => "F16" };

    public static Option<string> Offload() => new("--offload")
    {
        Description = "Layers beyond the GPUs: cpu computes them, stream brings them from memory as they are needed, disk from disk. stream and disk without --max-memory stream every layer",
        HelpName = "cpu|stream|disk",
        DefaultValueFactory = _ => "cpu",
    };

    public static Option<int> Ring() => new("--ring") { Description = "Slots that streamed layers pass through", HelpName = "N", DefaultValueFactory = _ => new PlanOptions().RingSlots };

    public static Option<string?> OffloadFolder() => new("--offload-folder") { Description = "Where tensors that stay on disk are written if the checkpoint has them in another layout or type", HelpName = "DIR" };

    public static OffloadMode ParseOffload(string name) => Enum.TryParse(name, ignoreCase: true, out OffloadMode mode) && Enum.IsDefined(mode) && !int.TryParse(name, out _)
        ? mode
        : throw new InvalidOptionException($"--offload: '{name}' is not one of cpu, stream, disk");

    public static bool WantsJson(ParseResult parsed) => parsed.CommandResult.Command.Options.Any(option => option.Name == JsonName && parsed.GetValue((Option<bool>)option));

    public static WeightType ParseType(string? name) => name is null ? WeightType.AsStored : WeightTypes.Parse(name);

    public static TensorType ParseKvType(string name) =>
        KvCache.Types.Where(type => type.ToString().Equals(name, StringComparison.OrdinalIgnoreCase)).Cast<TensorType?>().FirstOrDefault()
            ?? throw new InvalidOptionException($"--kv-type: '{name}' is not one of {string.Join(", ", KvCache.Types)}");

    public static MemoryLimits? ParseMaxMemory(string? text) => text is null ? null : MemoryLimits.Parse(text);

    /// <summary>Reads <c>1,2,3</c>.</summary>
    public static int[] ParseIds(string option, string text) =>
        [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(part =>
            int.TryParse(part, out int id) ? id : throw new InvalidOptionException($"{option}: '{part}' is not a token id"))];
}
