using System.Numerics.Tensors;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using NativeBigModel.Extensions.AI;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Chat;

[Collection(EngineGroup.Name)]
public class EmbeddingGeneratorTests(Capitals capitals)
{
    private static readonly string[] s_texts = ["The capital of France is Paris.", "Tokyo", "The capital of France is Paris. Alice and Bob went to the sea, and what they saw there they told to nobody."];

    [Theory]
    [InlineData(Pooling.Last)]
    [InlineData(Pooling.Cls)]
    [InlineData(Pooling.Mean)]
    public async Task A_model_that_answers_gives_the_vectors_of_one_that_was_loaded_for_them(Pooling pooling)
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Exact(64) with { Sessions = 2, BatchSize = 8 });
        await using EmbeddingModel alone = await EmbeddingModel.LoadAsync(TestFolders.Capitals, Capitals.Exact(64));
        Assert.Equal((alone.Length, alone.DefaultPooling), (model.VectorLength, model.DefaultPooling));
        foreach (string text in s_texts)
        {
            float[] expected = await alone.EmbedAsync(text, pooling), vector = await model.EmbedAsync(text, pooling);
            Assert.InRange(Nmse.Of(expected, vector), 0, 1e-9);
        }
    }

    [Fact]
    public async Task Vectors_and_answers_at_once_do_not_change_each_other()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Exact(128) with { Sessions = 4 });
        (string Text, float[] Vector)[] alone = [.. await Task.WhenAll(s_texts.Select(async text => (text, await model.EmbedAsync(text))))];
        string answer = (await Capitals.Run(model, Capitals.UnitedStates, Capitals.Greedy)).Text;
        Task<(int[], string Text)>[] answers = [.. Enumerable.Range(0, 3).Select(_ => Capitals.Run(model, Capitals.UnitedStates, Capitals.Greedy))];
        Task<float[]>[] vectors = [.. Enumerable.Range(0, 9).Select(i => model.EmbedAsync(s_texts[i % 3], i < 3 ? Pooling.Mean : null))];
        Assert.All(await Task.WhenAll(answers), one => Assert.Equal(answer, one.Text));
        float[][] computed = await Task.WhenAll(vectors);
        for (int i = 3; i < 9; i++) Assert.InRange(Nmse.Of(alone[i % 3].Vector, computed[i]), 0, 1e-6);
    }

    [Fact]
    public async Task Streamed_layers_give_the_same_vectors()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Exact(64) with { Offload = OffloadMode.Stream, MaxMemory = null });
        await using EmbeddingModel alone = await EmbeddingModel.LoadAsync(TestFolders.Capitals, Capitals.Exact(64));
        float[] expected = await alone.EmbedAsync(s_texts[2]), streamed = await model.EmbedAsync(s_texts[2]);
        Assert.InRange(Nmse.Of(expected, streamed), 0, 1e-9);
        Assert.True(model.Streaming!.BytesFromHost > 0);
    }

    [Fact]
    public async Task A_batch_comes_in_order_with_its_usage()
    {
        await using EmbeddingModel loaded = await EmbeddingModel.LoadAsync(TestFolders.Capitals, Capitals.Small());
        foreach (IEmbeddingGenerator<string, Embedding<float>> generator in (IEmbeddingGenerator<string, Embedding<float>>[])[loaded.AsIEmbeddingGenerator(), capitals.Model.AsIEmbeddingGenerator()])
        {
            GeneratedEmbeddings<Embedding<float>> batch = await generator.GenerateAsync(s_texts);
            Assert.Equal(3, batch.Count);
            Assert.Equal(s_texts.Sum(text => capitals.Model.Tokenizer.Encode(text).Length), batch.Usage!.InputTokenCount);
            Assert.Equal(batch.Usage.InputTokenCount, batch.Usage.TotalTokenCount);
            for (int i = 0; i < 3; i++)
            {
                Assert.InRange(Nmse.Of(await loaded.EmbedAsync(s_texts[i], normalize: true), batch[i].Vector.ToArray()), 0, 1e-5);
                Assert.Equal(1, TensorPrimitives.Norm(batch[i].Vector.Span), 1e-5);
                Assert.Equal(("capitals-llama", 256), (batch[i].ModelId, batch[i].Dimensions));
                Assert.InRange(batch[i].CreatedAt!.Value, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow);
            }
            Assert.Empty(await generator.GenerateAsync([]));
            Assert.Equal("mine", (await generator.GenerateAsync(["a"], new() { ModelId = "mine", Dimensions = 256 }))[0].ModelId);
        }
    }

    [Fact]
    public async Task What_cannot_be_is_a_named_error()
    {
        IEmbeddingGenerator<string, Embedding<float>> generator = capitals.Model.AsIEmbeddingGenerator();
        Task<InvalidOptionException> Refused(IEnumerable<string> values, EmbeddingGenerationOptions? options = null) => Assert.ThrowsAsync<InvalidOptionException>(() => generator.GenerateAsync(values, options));
        Assert.Contains("256", (await Refused(["a"], new() { Dimensions = 64 })).Message, StringComparison.Ordinal);
        Assert.Contains("64;", (await Refused(["a"], new() { Dimensions = 64 })).Message, StringComparison.Ordinal);
        Assert.Contains("text 1 has", (await Refused(["a", string.Join(' ', Enumerable.Repeat("capital", 1000))])).Message, StringComparison.Ordinal);
        Assert.Contains("text 1 is null", (await Refused(["a", null!])).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentNullException>(() => generator.GenerateAsync(null!));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => capitals.Model.EmbedAsync("a", (Pooling)9));
    }

    [Fact]
    public async Task Cancelling_ends_a_batch_with_the_callers_token_and_leaves_the_model_usable()
    {
        IEmbeddingGenerator<string, Embedding<float>> generator = capitals.Model.AsIEmbeddingGenerator(Pooling.Mean);
        using CancellationTokenSource cancel = new();
        Task<GeneratedEmbeddings<Embedding<float>>> batch = generator.GenerateAsync(Enumerable.Repeat(s_texts[2], 10_000), null, cancel.Token);
        await cancel.CancelAsync();
        Assert.Equal(cancel.Token, (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => batch)).CancellationToken);
        Assert.Single(await generator.GenerateAsync(["a"]));
    }

    [Fact]
    public async Task Callers_at_once_get_their_own_vectors()
    {
        IEmbeddingGenerator<string, Embedding<float>> generator = capitals.Model.AsIEmbeddingGenerator();
        GeneratedEmbeddings<Embedding<float>>[] batches = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => generator.GenerateAsync([s_texts[i % 3], s_texts[(i + 1) % 3]])));
        for (int i = 0; i < 6; i++)
        {
            Assert.Equal(batches[i % 3][0].Vector.ToArray(), batches[i][0].Vector.ToArray());
            Assert.Equal(batches[(i + 1) % 3][0].Vector.ToArray(), batches[i][1].Vector.ToArray());
        }
    }

    [Fact]
    public void It_gives_what_it_is_made_of()
    {
        IEmbeddingGenerator<string, Embedding<float>> generator = capitals.Model.AsIEmbeddingGenerator();
        Assert.Same(capitals.Model, generator.GetService<BigModel>());
        Assert.Same(generator, generator.GetService<IEmbeddingGenerator<string, Embedding<float>>>());
        EmbeddingGeneratorMetadata metadata = generator.GetService<EmbeddingGeneratorMetadata>()!;
        Assert.Equal(("capitals-llama", 256), (metadata.DefaultModelId, metadata.DefaultModelDimensions));
        Assert.Null(generator.GetService<BigModel>("a key"));
        Assert.Null(generator.GetService<EmbeddingModel>());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_application_gets_its_generator_from_its_services(bool shared)
    {
        IServiceCollection services = new ServiceCollection();
        if (shared) services.AddNativeBigModel(options => (options.ModelPath, options.Plan) = (TestFolders.Capitals, Capitals.Small())).AddNativeBigModelEmbeddings();
        else services.AddNativeBigModelEmbeddings(options => (options.ModelPath, options.Plan, options.Normalize) = (TestFolders.Capitals, Capitals.Small(), false));
        await using ServiceProvider provider = services.BuildServiceProvider();
        IEmbeddingGenerator<string, Embedding<float>> generator = provider.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
        ReadOnlyMemory<float> vector = await generator.GenerateVectorAsync(s_texts[0]);
        Assert.InRange(Nmse.Of(await capitals.Model.EmbedAsync(s_texts[0], normalize: shared), vector.ToArray()), 0, 1e-5);
        Assert.Equal(shared, generator.GetService<BigModel>() is not null);
        Assert.Equal(shared, generator.GetService<EmbeddingModel>() is null);
    }

    [Fact]
    public void A_service_without_a_model_says_so() => Assert.Throws<OptionsValidationException>(() =>
        new ServiceCollection().AddNativeBigModelEmbeddings().BuildServiceProvider().GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>());
}
