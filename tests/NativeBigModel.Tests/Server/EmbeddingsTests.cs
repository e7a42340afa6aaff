using System.ClientModel;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using OpenAI;
using OpenAI.Embeddings;

namespace NativeBigModel.Tests.Server;

/// <summary>/v1/embeddings, by OpenAI's own client, which asks for base64, and by hand.</summary>
[Collection(EngineGroup.Name)]
public class EmbeddingsTests(ServedCapitals served) : IClassFixture<ServedCapitals>
{
    private static readonly string[] s_texts = ["The capital of France", "The capital of Japan"];

    [Fact]
    public async Task Vectors_are_those_of_the_model_in_process()
    {
        var client = new EmbeddingClient("capitals", new ApiKeyCredential("key"), new OpenAIClientOptions { Endpoint = new Uri(served.Http.BaseAddress!, "v1") });
        OpenAIEmbeddingCollection answer = await client.GenerateEmbeddingsAsync(s_texts);
        Assert.Equal(2, answer.Count);
        for (int i = 0; i < s_texts.Length; i++)
        {
            float[] expected = await served.Model.EmbedAsync(s_texts[i], normalize: true);
            Assert.Equal(i, answer[i].Index);
            Assert.Equal(expected, answer[i].ToFloats().ToArray());
        }
        Assert.Equal(s_texts.Sum(text => served.Model.Tokenizer.Encode(text).Length), answer.Usage.InputTokenCount);
    }

    [Fact]
    public async Task Numbers_and_tokens_are_taken_as_well()
    {
        float[] expected = await served.Model.EmbedAsync(s_texts[0], normalize: true);
        foreach (object input in (object[])[s_texts[0], served.Model.Tokenizer.Encode(s_texts[0]), new[] { served.Model.Tokenizer.Encode(s_texts[0]) }])
        {
            using HttpResponseMessage response = await served.Http.PostAsJsonAsync("v1/embeddings", new { input });
            JsonElement body = await response.Content.ReadFromJsonAsync<JsonElement>();
            Assert.Equal(expected, body.GetProperty("data")[0].GetProperty("embedding").EnumerateArray().Select(number => number.GetSingle()));
        }
    }

    [Theory]
    [InlineData("""{}""", "input")]
    [InlineData("""{"input": []}""", "input")]
    [InlineData("""{"input": [1.5]}""", "input")]
    [InlineData("""{"input": "a", "dimensions": 3}""", "dimensions")]
    [InlineData("""{"input": "a", "encoding_format": "hex"}""", "encoding_format")]
    public async Task What_cannot_be_is_refused(string body, string param)
    {
        using HttpResponseMessage response = await served.Http.PostAsync("v1/embeddings", new StringContent(body, null, "application/json"));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(param, (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error").GetProperty("param").GetString());
    }

    [Fact]
    public async Task A_text_longer_than_the_context_is_refused_with_both_numbers()
    {
        int context = served.Model.Plan.ContextLength;
        using HttpResponseMessage response = await served.Http.PostAsJsonAsync("v1/embeddings", new { input = Enumerable.Repeat(5, context + 1) });
        JsonElement error = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error");
        Assert.Equal("context_length_exceeded", error.GetProperty("code").GetString());
        Assert.Contains($"{context + 1} tokens, and the context holds {context}", error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }
}
