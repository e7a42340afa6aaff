using System.Buffers.Binary;
using System.Globalization;
using NativeBigModel.Tests.Quantization;

namespace NativeBigModel.Tests.Hostile;

/// <summary>Random damage to each kind of file, from fixed seeds: whatever comes of it is a checkpoint or one of the library's own errors, soon.</summary>
public class FuzzTests
{
    // Generous: it is to catch what never ends, on a busy machine too.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private static readonly ulong[] s_numbers =
        [0, 1, 2, 3, 7, 8, 31, 32, 64, 255, 256, 512, 513, 65535, 1 << 24, int.MaxValue, 1UL << 31, uint.MaxValue, 1UL << 32, 1UL << 40, 1UL << 62, long.MaxValue, 1UL << 63, ulong.MaxValue];

    private static readonly string[] s_texts =
        ["NaN", "-1", "1e400", "-0", "1e999999", "99999999999999999999", "\\ud800", "null", "[]", "{}", "\"", "[[[[[[[[", "true", "0.5", "..", "/", "\\u0000", "\u001b[2J", "\n"];

    private static readonly Dictionary<string, (QuantizedSamples Sample, TensorType Kept)> s_quantized = new()
    {
        ["GPTQ"] = (QuantizedSamples.Gptq(), TensorType.Q4_1),
        ["GPTQ in the order of activations"] = (QuantizedSamples.Gptq(anyOrder: true), TensorType.F32),
        ["AWQ"] = (QuantizedSamples.Awq(), TensorType.Q4_1),
        ["NF4"] = (QuantizedSamples.Nf4(), TensorType.F32),
        ["int8"] = (QuantizedSamples.Int8(), TensorType.F32),
        ["FP8"] = (QuantizedSamples.Fp8(), TensorType.F32),
        ["MXFP4"] = (QuantizedSamples.MxFp4(), TensorType.MXFP4),
        ["packed integers"] = (QuantizedSamples.Packed(zeros: true), TensorType.Q4_1),
    };

    [Theory]
    [InlineData("config.json", 600)]
    [InlineData(TinyCheckpoint.Index, 500)]
    [InlineData(TinyCheckpoint.Second, 700)]
    [InlineData("tokenizer.json", 400)]
    [InlineData("tokenizer_config.json", 200)]
    public void Damage_to_a_file_of_a_folder(string name, int count)
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.Files();
        using var folder = new HostileFolder(files);
        Damage(name, files[name], folder.In(name), folder.Path, count);
    }

    [Fact]
    public void Damage_to_a_tokenizer_model()
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.SentencePieceFiles();
        using var folder = new HostileFolder(files);
        Damage("tokenizer.model", files["tokenizer.model"], folder.In("tokenizer.model"), folder.Path, 400);
    }

    [Theory]
    [InlineData("Unigram", "tokenizer.json", 300)]
    [InlineData("WordPiece", "tokenizer.json", 300)]
    [InlineData("SentencePiece", "tokenizer.json", 300)]
    [InlineData("loose", "vocab.json", 200)]
    [InlineData("loose", "merges.txt", 200)]
    [InlineData("words", "vocab.txt", 200)]
    [InlineData("fallback", "tokenizer.json", 200)]
    [InlineData("model", "tokenizer.model", 300)]
    [InlineData("ranks", "tokenizer.model", 400)]
    [InlineData("pieces", "spiece.model", 400)]
    public void Damage_to_a_tokenizer_of_each_kind(string kind, string name, int count)
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.WithTokenizer(kind);
        using var folder = new HostileFolder(files);
        Assert.NotNull(Checkpoint.Open(folder.Path).Text.Preparation);
        Damage(name, files[name], folder.In(name), folder.Path, count);
    }

    [Theory]
    [InlineData(false, 1200)]
    [InlineData(true, 400)]
    public void Damage_to_a_gguf(bool sentencePiece, int count)
    {
        byte[] file = sentencePiece ? TinyCheckpoint.SentencePieceGguf : TinyCheckpoint.Gguf;
        using var folder = new HostileFolder(new Dictionary<string, byte[]> { ["model.gguf"] = file });
        Damage("model.gguf", file, folder.In("model.gguf"), folder.In("model.gguf"), count);
    }

    [Theory]
    [InlineData(false, 400)]
    [InlineData(true, 400)]
    public void Damage_to_a_PyTorch_file(bool legacy, int count)
    {
        byte[] file = legacy ? TorchFiles.Legacy(TorchSamples.Tensors()) : TorchFiles.Zip(TorchSamples.Tensors());
        using var folder = new HostileFolder(TorchSamples.Files(new() { ["pytorch_model.bin"] = file }));
        Damage("pytorch_model.bin", file, folder.In("pytorch_model.bin"), folder.Path, count);
    }

    [Theory]
    [InlineData(false, 400)]
    [InlineData(true, 400)]
    public void Damage_to_an_importance_matrix(bool gguf, int count)
    {
        using var folder = new TempFolder();
        byte[] valid = ImportanceFiles.Make(gguf);
        for (int seed = 1; seed <= count; seed++)
        {
            File.WriteAllBytes(folder["imatrix"], Spoil(valid, new Random(seed)));
            Exception? error = Record.Exception(() => ImportanceMatrix.Read(folder["imatrix"]));
            Assert.True(error is null or CheckpointException, $"seed {seed}: {error}");
            if (error is not null) Refusal.Line(error.Message);
        }
    }

    [Theory]
    [InlineData("adapter_config.json", 300)]
    [InlineData("adapter_model.safetensors", 300)]
    public void Damage_to_an_adapter(string name, int count)
    {
        using TempFolder adapter = Conversion.LoraTests.Adapter([("model.layers.0.self_attn.q_proj", 4)]);
        byte[] valid = File.ReadAllBytes(adapter[name]);
        for (int seed = 1; seed <= count; seed++)
        {
            File.WriteAllBytes(adapter[name], Spoil(valid, new Random(seed)));
            Exception? error = Record.Exception(() => Checkpoint.Open(TestFolders.Capitals, [adapter.Path]));
            Assert.True(error is null or CheckpointException or UnsupportedModelException, $"{name}, seed {seed}: {error}");
            if (error is not null) Refusal.Line(error.Message);
        }
    }

    public static TheoryData<string> Quantized() => [.. s_quantized.Keys];

    [Theory]
    [MemberData(nameof(Quantized))]
    public void Damage_to_a_quantised_weight(string name)
    {
        (QuantizedSamples sample, TensorType kept) = s_quantized[name];
        using var folder = new TempFolder();
        sample.Write(folder);
        string file = folder["model.safetensors"];
        byte[] valid = File.ReadAllBytes(file);
        for (int seed = 1; seed <= 250; seed++)
        {
            File.WriteAllBytes(file, Spoil(valid, new Random(seed)));
            Exception? error = Record.Exception(() => sample.ReadWritten(folder, kept, out _));
            Assert.True(error is null or CheckpointException or UnsupportedModelException, $"{name}, seed {seed}: {error}");
            if (error is not null) Refusal.Line(error.Message);
        }
    }

    private static void Damage(string name, byte[] valid, string file, string checkpoint, int count)
    {
        for (int seed = 1; seed <= count; seed++)
        {
            string what = string.Create(CultureInfo.InvariantCulture, $"{name}, seed {seed}");
            File.WriteAllBytes(file, Spoil(valid, new Random(seed)));
            Task work = Task.Run(() => Refusal.OrSuccess(checkpoint, what));
            Assert.True(Task.WaitAny([work], s_patience) == 0, $"{what}: not done after {s_patience}");
            work.GetAwaiter().GetResult();
        }
    }

    private static byte[] Spoil(byte[] valid, Random random)
    {
        byte[] bytes = [.. valid];
        for (int times = random.Next(1, 4); times > 0 && bytes.Length > 0; times--)
        {
            // Most of a large file is data or a long list; what its first bytes say decides more.
            int at = random.Next(random.Next(2) == 0 ? Math.Min(bytes.Length, 400) : bytes.Length);
            byte[] number = new byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(number, s_numbers[random.Next(s_numbers.Length)]);
            int width = 1 << random.Next(4);
            byte[] text = System.Text.Encoding.UTF8.GetBytes(s_texts[random.Next(s_texts.Length)]);
            bytes = random.Next(7) switch
            {
                0 or 1 => [.. bytes[..at], (byte)(bytes[at] ^ (1 << random.Next(8))), .. bytes[(at + 1)..]],
                2 => [.. bytes[..at], (byte)random.Next(256), .. bytes[(at + 1)..]],
                3 => bytes[..at],
                4 => [.. bytes[..at], .. number[..width], .. bytes[Math.Min(at + width, bytes.Length)..]],
                5 => [.. bytes[..at], .. text, .. bytes[Math.Min(at + random.Next(text.Length + 1), bytes.Length)..]],
                _ => Splice(bytes, at, random),
            };
        }
        return bytes;
    }

    private static byte[] Splice(byte[] bytes, int at, Random random)
    {
        int from = random.Next(bytes.Length), length = Math.Min(random.Next(1, 200), bytes.Length - from);
        return [.. bytes[..at], .. bytes[from..(from + length)], .. bytes[at..]];
    }
}
