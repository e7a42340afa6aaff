using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace NativeBigModel.Tests.Server;

/// <summary>What no client should send: each is refused in OpenAI's shape, and the server goes on.</summary>
[Collection(EngineGroup.Name)]
public class HostileRequestTests(ServedCapitals served) : IClassFixture<ServedCapitals>
{
    private const string Chat = "v1/chat/completions";
    private const string Hi = """ "messages": [{"role": "user", "content": "Hi"}] """;

    [Theory]
    [InlineData("", null)]
    [InlineData("null", null)]
    [InlineData("[]", null)]
    [InlineData("{", null)]
    [InlineData("{}", "messages")]
    [InlineData("""{"messages": []}""", "messages")]
    [InlineData("""{"messages": {}}""", "messages")]
    [InlineData("""{"messages": [null]}""", "messages[0]")]
    [InlineData("""{"messages": [{"role": 3}]}""", "messages[0].role")]
    [InlineData("""{"messages": [{"content": "Hi"}]}""", "messages[0].role")]
    [InlineData("""{"messages": [{"role": "king", "content": "Hi"}]}""", "messages[0].role")]
    [InlineData("""{"messages": [{"role": "user"}]}""", "messages[0].content")]
    [InlineData("""{"messages": [{"role": "user", "content": 7}]}""", "messages[0].content")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}""", "messages[0].content")]
    [InlineData("""{"messages": [{"role": "user", "content": [7]}]}""", "messages[0].content")]
    [InlineData("""{"messages": [{"role": "user", "content": "\ud800"}]}""", "messages[0].content")]
    [InlineData("""{"messages": [{"role": "\ud800", "content": "Hi"}]}""", "messages[0].role")]
    [InlineData("""{"messages": [{"role": "tool", "content": "Hi"}]}""", "messages[0].tool_call_id")]
    [InlineData("{" + Hi + """, "n": 1000000}""", "n")]
    [InlineData("{" + Hi + """, "n": 0}""", "n")]
    [InlineData("{" + Hi + """, "max_tokens": 0}""", "max_tokens")]
    [InlineData("{" + Hi + """, "max_tokens": 1e30}""", "max_tokens")]
    [InlineData("{" + Hi + """, "temperature": "hot"}""", "temperature")]
    [InlineData("{" + Hi + """, "temperature": -1}""", "temperature")]
    [InlineData("{" + Hi + """, "temperature": 1e300}""", "temperature")]
    [InlineData("{" + Hi + """, "top_p": 7}""", "top_p")]
    [InlineData("{" + Hi + """, "presence_penalty": 3}""", "presence_penalty")]
    [InlineData("{" + Hi + """, "stop": [1]}""", "stop")]
    [InlineData("{" + Hi + """, "stop": ""}""", "stop")]
    [InlineData("{" + Hi + """, "stop": ["\udc00"]}""", "stop")]
    [InlineData("{" + Hi + """, "logit_bias": {"x": 1}}""", "logit_bias")]
    [InlineData("{" + Hi + """, "logit_bias": {"99999": 1}}""", "logit_bias")]
    [InlineData("{" + Hi + """, "logit_bias": {"1": 1e9}}""", "logit_bias")]
    [InlineData("{" + Hi + """, "top_logprobs": 2}""", "top_logprobs")]
    [InlineData("{" + Hi + """, "logprobs": true, "top_logprobs": 21}""", "top_logprobs")]
    [InlineData("{" + Hi + """, "response_format": {"type": "xml"}}""", "response_format")]
    [InlineData("{" + Hi + """, "response_format": {"type": "json_schema"}}""", "response_format")]
    [InlineData("{" + Hi + """, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nonsense"}}}}""", "response_format")]
    [InlineData("{" + Hi + """, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array", "minItems": 1000000000}}}}""", "response_format")]
    [InlineData("{" + Hi + """, "tools": [{"type": "function", "function": {"name": "a b"}}]}""", "tools")]
    [InlineData("{" + Hi + """, "tools": [{"type": "retrieval"}]}""", "tools")]
    [InlineData("{" + Hi + """, "tools": [{"type": "function", "function": {"name": "f", "description": "\ud800"}}]}""", "tools[0].function.description")]
    [InlineData("{" + Hi + """, "tool_choice": "required"}""", "tool_choice")]
    [InlineData("{" + Hi + """, "tool_choice": 5}""", "tool_choice")]
    [InlineData("{" + Hi + """, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "g"}}}""", "tool_choice")]
    [InlineData("{" + Hi + """, "functions": []}""", "functions")]
    public async Task A_body_that_cannot_be_is_refused_by_its_member(string body, string? param)
    {
        (HttpStatusCode status, JsonElement answer) = await served.Post(Chat, body);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        JsonElement error = Error(answer);
        Assert.Equal(param, error.GetProperty("param").GetString());
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.DoesNotContain("NativeBigModel.", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        await StillAnswers();
    }

    [Theory]
    [InlineData("""{"prompt": null}""", "prompt")]
    [InlineData("""{"prompt": []}""", "prompt")]
    [InlineData("""{"prompt": [1.5]}""", "prompt")]
    [InlineData("""{"prompt": [-1]}""", null)]
    [InlineData("""{"prompt": [999999]}""", null)]
    [InlineData("""{"prompt": "a", "echo": true}""", "echo")]
    [InlineData("""{"prompt": "a", "suffix": "b"}""", "suffix")]
    [InlineData("""{"prompt": "a", "best_of": 3}""", "best_of")]
    [InlineData("""{"prompt": "a", "logprobs": 1000}""", "logprobs")]
    [InlineData("""{"prompt": ["a", "b", "c", "d", "e"], "n": 2}""", "prompt")]
    public async Task So_is_a_completion(string body, string? param)
    {
        (HttpStatusCode status, JsonElement answer) = await served.Post("v1/completions", body);
        Assert.Equal((HttpStatusCode.BadRequest, param), (status, Error(answer).GetProperty("param").GetString()));
        await StillAnswers();
    }

    [Fact]
    public async Task Bytes_that_are_no_text_are_refused()
    {
        byte[] nonsense = new byte[1 << 20];
        new Random(1).NextBytes(nonsense);
        byte[] half = Encoding.UTF8.GetBytes("""{"messages": [{"role": "user", "content": "Hi?"}]}""");
        half[Array.IndexOf(half, (byte)'?')] = 0xc3;
        byte[] deep = [.. Enumerable.Repeat((byte)'[', 1 << 20)];
        byte[] nested = Encoding.UTF8.GetBytes($$"""{{{Hi}}, "tools": {{new string('[', 500)}}{{new string(']', 500)}}}""");
        foreach (byte[] body in (byte[][])[nonsense, half, deep, nested])
        {
            using HttpResponseMessage response = await served.Http.PostAsync(Chat, Bytes(body));
            Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
            Error(await ServedCapitals.Json(response));
        }
        await StillAnswers();
    }

    [Fact]
    public async Task What_is_too_large_is_refused_by_its_length_or_when_it_is()
    {
        byte[] large = [.. "{\"messages\": \""u8, .. Enumerable.Repeat((byte)'a', 1 << 20), .. "\"}"u8];
        using HttpResponseMessage told = await served.Http.PostAsync(Chat, Bytes(large));
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "request_too_large"), (told.StatusCode, Error(await ServedCapitals.Json(told)).GetProperty("code").GetString()));
        using HttpRequestMessage chunked = new(HttpMethod.Post, Chat) { Content = Bytes(large) };
        chunked.Headers.TransferEncodingChunked = true;
        using HttpResponseMessage found = await served.Http.SendAsync(chunked);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, found.StatusCode);
        await StillAnswers();
    }

    [Theory]
    [InlineData("GET", "nothing", 404, "unknown_url")]
    [InlineData("POST", "v1/responses", 404, "unknown_url")]
    [InlineData("GET", Chat, 405, "method_not_allowed")]
    [InlineData("DELETE", "v1/models", 405, "method_not_allowed")]
    [InlineData("GET", "v1/models/gpt-4", 404, "model_not_found")]
    [InlineData("POST", Chat, 415, "unsupported_media_type")]
    public async Task Places_and_ways_that_are_not_there_are_named(string method, string path, int status, string code)
    {
        using HttpRequestMessage request = new(new HttpMethod(method), path);
        using HttpResponseMessage response = await served.Http.SendAsync(request);
        Assert.Equal((status, code), ((int)response.StatusCode, Error(await ServedCapitals.Json(response)).GetProperty("code").GetString()));
    }

    [Fact]
    public async Task A_model_that_is_not_served_is_not_found_and_every_name_of_one_that_is_answers()
    {
        (HttpStatusCode status, JsonElement unknown) = await served.Post(Chat, "{" + Hi + """, "model": "gpt-4"}""");
        Assert.Equal((HttpStatusCode.NotFound, "model_not_found", "model"), (status, Error(unknown).GetProperty("code").GetString(), Error(unknown).GetProperty("param").GetString()));
        (_, JsonElement other) = await served.Post(Chat, "{" + Hi + """, "model": "other-name", "max_tokens": 1}""");
        Assert.Equal("other-name", other.GetProperty("model").GetString());
        JsonElement list = await Get("v1/models");
        Assert.Equal(["capitals", "other-name"], list.GetProperty("data").EnumerateArray().Select(model => model.GetProperty("id").GetString()));
        Assert.Equal(256, (await Get("v1/models/other-name")).GetProperty("context_length").GetInt32());
    }

    [Fact]
    public async Task Another_sites_name_for_this_machine_is_not_answered_to()
    {
        using HttpRequestMessage request = new(HttpMethod.Get, "v1/models");
        request.Headers.Host = "example.com";
        using HttpResponseMessage response = await served.Http.SendAsync(request);
        Assert.Equal((HttpStatusCode.Forbidden, "wrong_host"), (response.StatusCode, Error(await ServedCapitals.Json(response)).GetProperty("code").GetString()));
    }

    [Fact]
    public async Task Sockets_that_say_little_or_nonsense_cost_the_others_nothing()
    {
        List<TcpClient> slow = [];
        try
        {
            for (int i = 0; i < 24; i++)
            {
                TcpClient client = new();
                await client.ConnectAsync(served.Server.Address.Host, served.Server.Address.Port);
                string beginning = (i % 3) switch
                {
                    0 => "POST /v1/chat/completions HTTP/1.1\r\nHost: local",
                    1 => "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{\"mess",
                    _ => "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"mes\r\n",
                };
                await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(beginning));
                slow.Add(client);
            }
            foreach (string nonsense in (string[])["\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", new string('a', 100_000)])
                Assert.Contains(await Raw(nonsense), (string[])["400", "408", "414", "431", "505", "closed"]);
            await StillAnswers();
            // Each is given up in the end, whether by an answer or not.
            using CancellationTokenSource patience = new(TimeSpan.FromSeconds(90));
            foreach (TcpClient client in slow) Assert.Contains(await Status(client.GetStream(), patience.Token), (string[])["400", "408", "closed"]);
        }
        finally
        {
            foreach (TcpClient client in slow) client.Dispose();
        }
        await StillAnswers();
        await served.Idle();
    }

    private static ByteArrayContent Bytes(byte[] body)
    {
        ByteArrayContent content = new(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }

    private static JsonElement Error(JsonElement body)
    {
        JsonElement error = body.GetProperty("error");
        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(member => member.Name));
        Assert.NotEmpty(error.GetProperty("message").GetString()!);
        return error;
    }

    private async Task<string> Raw(string text)
    {
        using TcpClient client = new();
        await client.ConnectAsync(served.Server.Address.Host, served.Server.Address.Port);
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(90));
        try
        {
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(text), patience.Token);
            return await Status(client.GetStream(), patience.Token);
        }
        catch (IOException) { return "closed"; }
    }

    // The status of the first response, or that there is none.
    private static async Task<string> Status(NetworkStream stream, CancellationToken cancel)
    {
        byte[] answer = new byte[12];
        try { await stream.ReadExactlyAsync(answer, cancel); }
        catch (IOException) { return "closed"; }
        return Encoding.ASCII.GetString(answer)[9..];
    }

    private async Task<JsonElement> Get(string path)
    {
        using HttpResponseMessage response = await served.Http.GetAsync(path);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await ServedCapitals.Json(response);
    }

    private async Task StillAnswers()
    {
        (HttpStatusCode status, JsonElement answer) = await served.Post(Chat, """{"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}""");
        Assert.Equal((HttpStatusCode.OK, "The capital of France is Paris."), (status, answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()));
    }
}
