using System.Collections.Immutable;
using System.Text.Json;
using NativeBigModel.Planning;
using NativeBigModel.Planning.DeviceMaps;

namespace NativeBigModel.Tests.Planning.DeviceMaps;

/// <summary>
/// The planner cases of accelerate's own tests (huggingface/accelerate 16cb6eb8, tests/test_modeling_utils.py and test_big_modeling.py, Apache-2.0) as data,
/// with the answers that its functions gave; accelerate_cases.json says how they were gathered.
/// </summary>
internal static class AccelerateCases
{
    private static readonly Dictionary<string, JsonElement> s_cases = Read();

    public static int Count => s_cases.Count;

    public static TheoryData<string> OfKind(string kind) => [.. s_cases.Where(one => one.Value.GetProperty("kind").GetString() == kind).Select(one => one.Key)];

    public static JsonElement Find(string name) => s_cases[name];

    public static ModuleTree Tree(JsonElement one) => new(Module(one.GetProperty("module_tree")), Groups(one.TryGetProperty("tied", out JsonElement tied) ? tied : one.Optional("shared_storage")));

    public static ImmutableArray<ImmutableArray<string>> Groups(JsonElement? groups) =>
        groups is { } all ? [.. all.EnumerateArray().Select(group => group.EnumerateArray().Select(path => path.GetString()!).ToImmutableArray())] : [];

    public static MemoryLimits Limits(JsonElement pairs)
    {
        Dictionary<string, long> all = pairs.EnumerateArray().ToDictionary(pair => Device(pair[0]), pair => pair[1].GetInt64());
        return new()
        {
            Gpus = all.Where(one => one.Key != DeviceName.Host).ToImmutableSortedDictionary(one => DeviceName.GpuIndex(one.Key)!.Value, one => one.Value),
            Host = all.TryGetValue(DeviceName.Host, out long host) ? host : null,
        };
    }

    public static Dictionary<string, string> Devices(JsonElement pairs) => pairs.EnumerateArray().ToDictionary(pair => pair[0].GetString()!, pair => Device(pair[1]));

    public static string Device(JsonElement device) => device.ToString();

    public static HashSet<string> Whole(JsonElement one) => [.. one.GetProperty("no_split").EnumerateArray().Select(name => name.GetString()!)];

    public static JsonElement? Optional(this JsonElement element, string name) => element.TryGetProperty(name, out JsonElement value) ? value : null;

    // The cases give bytes only; of the types, a name tells the integer counters that keep theirs.
    private static ModuleTensor Tensor(JsonElement tensor)
    {
        string name = tensor.GetProperty("name").GetString()!;
        return new(name, tensor.GetProperty("bytes").GetInt64(), name == "num_batches_tracked" ? new("int64") : TorchType.Float32);
    }

    private static Module Module(JsonElement node) => new(
        node.GetProperty("name").GetString()!, node.GetProperty("class").GetString()!,
        [.. node.GetProperty("params").EnumerateArray().Select(Tensor)], [.. node.GetProperty("buffers").EnumerateArray().Select(Tensor)],
        [.. node.GetProperty("children").EnumerateArray().Select(Module)]);

    private static Dictionary<string, JsonElement> Read()
    {
        string path = Path.Combine(TestFolders.Repository, "tests", "NativeBigModel.Tests", "Planning", "DeviceMaps", "accelerate_cases.json");
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
        return document.RootElement.GetProperty("cases").EnumerateArray().ToDictionary(one => one.GetProperty("name").GetString()!, one => one.Clone());
    }
}
