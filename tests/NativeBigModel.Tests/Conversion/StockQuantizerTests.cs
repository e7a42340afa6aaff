using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Conversion;

/// <summary>The outside oracle for types and bytes: llama.cpp's own llama_model_quantize over the F32 file.</summary>
[Collection(EngineGroup.Name)]
public class StockQuantizerTests
{
    private static readonly WeightType[] s_quantising = [.. Enum.GetValues<WeightType>().Where(type => type.BaseType() is { } stored && stored.IsQuantized())];

    // The types whose choices depend on the layer or on the shape of attention.
    private static readonly WeightType[] s_layered =
        [WeightType.Q2_K, WeightType.Q3_K_S, WeightType.Q3_K_M, WeightType.Q3_K_L, WeightType.Q4_K_S, WeightType.Q4_K_M, WeightType.Q5_K_M, WeightType.Q8_0, WeightType.TQ2_0, WeightType.TQ1_0, WeightType.Q2_0, WeightType.MXFP4_MOE];

    // Those that llama-quantize makes only with an importance matrix.
    private static readonly WeightType[] s_weighed =
        [WeightType.Q2_K_S, WeightType.IQ3_XS, WeightType.IQ3_XXS, WeightType.IQ2_M, WeightType.IQ2_S, WeightType.IQ2_XS, WeightType.IQ2_XXS, WeightType.IQ1_M, WeightType.IQ1_S];

    private static readonly WeightType[] s_codebooks = [WeightType.IQ4_XS, WeightType.IQ4_NL, WeightType.IQ3_M, WeightType.IQ3_S];

    private static readonly TinyModel[] s_models =
    [
        new("LlamaForCausalLM") { Layers = 33, HeadLength = 8, Heads = 32, KvHeads = 4, FeedForward = 32 },
        new("LlamaForCausalLM") { Layers = 33, HeadLength = 8, Heads = 2, KvHeads = 2, FeedForward = 288, Tied = true },
        new("LlamaForCausalLM") { Layers = 80, HeadLength = 8, Heads = 4, KvHeads = 1, FeedForward = 32 },
        new("LlamaForCausalLM") { Layers = 80, HeadLength = 8, Heads = 2, KvHeads = 2, FeedForward = 32, Tied = true },
        new("MistralForCausalLM") { Layers = 80, HeadLength = 8, Heads = 4, KvHeads = 2, FeedForward = 32 },
        new("MistralForCausalLM") { Layers = 5, FeedForward = 288, HeadLength = 24, Heads = 4, KvHeads = 1 },
        new("Qwen2ForCausalLM") { Layers = 80, HeadLength = 64, Heads = 4, KvHeads = 1, FeedForward = 32, Tied = true },
        new("Qwen2ForCausalLM") { Layers = 17, HeadLength = 64, Heads = 4, KvHeads = 4, FeedForward = 40 },
        new("LlamaForCausalLM") { Layers = 3, Hidden = 96, HeadLength = 24, Heads = 4, KvHeads = 2, FeedForward = 96 },
        new("LlamaForCausalLM") { Layers = 3, Hidden = 96, HeadLength = 24, Heads = 4, KvHeads = 2, FeedForward = 80, Tied = true },
    ];

    public static TheoryData<WeightType> Types => [.. s_quantising];

    public static TheoryData<int> Models => [.. Enumerable.Range(0, s_models.Length)];

    [Theory]
    [MemberData(nameof(Types))]
    public async Task One_pass_over_the_folder_gives_what_llama_quantize_makes_of_the_F32_file(WeightType type)
    {
        using var folder = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        await GgufConverter.ConvertAsync(checkpoint, folder["f32.gguf"], WeightType.F32);
        ImportanceMatrix? importance = s_weighed.Contains(type) ? Matrix(checkpoint, folder["imatrix.dat"]) : null;
        await GgufConverter.ConvertAsync(checkpoint, folder["ours.gguf"], new ConversionOptions { Type = type, Importance = importance });
        Quantize(folder["f32.gguf"], folder["stock.gguf"], type, importance, checkpoint);

        Assert.Equal(Data(folder["stock.gguf"]), Data(folder["ours.gguf"]));
    }

    [Theory]
    [InlineData(WeightType.Q4_0)]
    [InlineData(WeightType.Q4_K_M)]
    [InlineData(WeightType.IQ4_XS)]
    [InlineData(WeightType.IQ3_M)]
    public async Task An_importance_matrix_gives_what_llama_quantize_makes_with_it(WeightType type)
    {
        using var folder = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        ImportanceMatrix importance = Matrix(checkpoint, folder["imatrix.dat"]);
        await GgufConverter.ConvertAsync(checkpoint, folder["f32.gguf"], WeightType.F32);
        await GgufConverter.ConvertAsync(checkpoint, folder["ours.gguf"], new ConversionOptions { Type = type, Importance = importance });
        Quantize(folder["f32.gguf"], folder["stock.gguf"], type, importance, checkpoint);

        Assert.Equal(Data(folder["stock.gguf"]), Data(folder["ours.gguf"]));
    }

    [Theory]
    [InlineData("falcon_new")]
    [InlineData("gpt2")]
    [InlineData("mamba")]
    [InlineData("mixtral")]
    [InlineData("qwen3_moe")]
    [InlineData("deepseek_v3")]
    [InlineData("mistral_swa")]
    [InlineData("gemma2")]
    public async Task Tensors_of_other_families_get_the_type_that_llama_quantize_gives_them(string name)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy(name), output = new();
        await RequireStockTypes(Checkpoint.Open(folder.Path), output);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public async Task Every_layer_of_deep_and_odd_models_gets_the_type_that_llama_quantize_gives_it(int index)
    {
        using var folder = new TempFolder();
        s_models[index].Write(folder.Path);
        await RequireStockTypes(Checkpoint.Open(folder.Path), folder);
    }

    private static async Task RequireStockTypes(Checkpoint checkpoint, TempFolder folder)
    {
        await GgufConverter.ConvertAsync(checkpoint, folder["f32.gguf"], WeightType.F32);
        ImportanceMatrix importance = Matrix(checkpoint, folder["imatrix.dat"]);
        foreach ((WeightType type, ImportanceMatrix? with) in ((WeightType, ImportanceMatrix?)[])
            [.. s_layered.Concat(s_codebooks).Select(type => (type, (ImportanceMatrix?)null)), .. s_weighed.Concat([WeightType.IQ4_XS, WeightType.Q4_0]).Select(type => (type, importance))])
        {
            Quantize(folder["f32.gguf"], folder["stock.gguf"], type, with, checkpoint);
            IEnumerable<TensorSpec> ours = checkpoint.Define(type, options: new ConversionOptions { Importance = with }).Shape.Tensors;
            Assert.Equal((type, string.Join('\n', Specs(GgufReader.Read(folder["stock.gguf"]).Tensors.Select(tensor => tensor.Spec)))), (type, string.Join('\n', Specs(ours))));
        }
    }

    [Fact]
    public async Task Fallback_types_have_the_same_bytes_as_llama_quantize_makes()
    {
        using var folder = new TempFolder();
        s_models[5].Write(folder.Path);
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        await GgufConverter.ConvertAsync(checkpoint, folder["f32.gguf"], WeightType.F32);
        foreach (WeightType type in s_layered)
        {
            await GgufConverter.ConvertAsync(checkpoint, folder["ours.gguf"], type);
            Quantize(folder["f32.gguf"], folder["stock.gguf"], type);
            Assert.Equal(Data(folder["stock.gguf"]), Data(folder["ours.gguf"]));
        }
    }

    [Fact]
    public async Task A_float_GGUF_quantises_as_its_folder_does()
    {
        using var folder = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        await GgufConverter.ConvertAsync(checkpoint, folder["f32.gguf"], WeightType.F32);
        await GgufConverter.ConvertAsync(checkpoint, folder["folder.gguf"], WeightType.Q4_K_M);
        await GgufConverter.ConvertAsync(Checkpoint.Open(folder["f32.gguf"]), folder["file.gguf"], WeightType.Q4_K_M);

        Assert.Equal(Data(folder["folder.gguf"]), Data(folder["file.gguf"]));
    }

    private static IEnumerable<string> Specs(IEnumerable<TensorSpec> specs) =>
        specs.Select(spec => $"{spec.Name} [{string.Join(", ", spec.Dimensions)}] {spec.Type}").Order(StringComparer.Ordinal);

    private static IEnumerable<string> Data(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        return from tensor in GgufReader.Read(path).Tensors
               let hash = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(file.AsSpan((int)tensor.Offset, (int)tensor.Spec.Bytes)))
               orderby tensor.Spec.Name
               select $"{tensor.Spec.Name} [{string.Join(", ", tensor.Spec.Dimensions)}] {tensor.Spec.Type} {hash}";
    }

    // In the binary format, some weights more important than others.
    private static ImportanceMatrix Matrix(Checkpoint checkpoint, string path)
    {
        TensorSpec[] weights = [.. checkpoint.Describe().Tensors.Where(tensor => tensor.Dimensions.Length > 1)];
        var random = new Random(7);
        using (var writer = new BinaryWriter(File.Create(path)))
        {
            writer.Write(weights.Length);
            foreach (TensorSpec weight in weights)
            {
                long values = weight.Columns * (weight.Dimensions.Length > 2 ? weight.Dimensions[2] : 1);
                writer.Write(weight.Name.Length);
                writer.Write(weight.Name.AsSpan());
                writer.Write(4);
                writer.Write((int)values);
                for (long i = 0; i < values; i++) writer.Write(random.NextSingle() * random.NextSingle() * 10 + 0.01f);
            }
        }
        return ImportanceMatrix.Read(path);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct ImatrixEntry
    {
        public nint Name;
        public nint Data;
        public nuint Size;
    }

    private static unsafe void Quantize(string input, string output, WeightType type, ImportanceMatrix? importance = null, Checkpoint? checkpoint = null)
    {
        EngineLibrary.Load();
        LlamaModelQuantizeParams parameters = LlamaModelApi.LlamaModelQuantizeDefaultParams();
        parameters.NThread = 2;
        parameters.Ftype = (int)type.FileType();
        List<(nint Name, GCHandle Data, int Size)> entries =
        [
            .. from tensor in importance is null ? [] : checkpoint!.Describe().Tensors.AsEnumerable()
               let values = importance!.Find(tensor)
               where values is not null
               select (Marshal.StringToCoTaskMemUTF8(tensor.Name), GCHandle.Alloc(values, GCHandleType.Pinned), values!.Length),
        ];
        ImatrixEntry[] table = [.. entries.Select(entry => new ImatrixEntry { Name = entry.Name, Data = entry.Data.AddrOfPinnedObject(), Size = (nuint)entry.Size }), default];
        fixed (ImatrixEntry* first = table)
        {
            if (importance is not null) parameters.Imatrix = first;
            Assert.Equal(0u, LlamaModelApi.LlamaModelQuantize(input, output, in parameters));
        }
        foreach ((nint name, GCHandle data, int _) in entries)
        {
            Marshal.FreeCoTaskMem(name);
            data.Free();
        }
    }
}
