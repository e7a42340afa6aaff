using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using NativeBigModel.Server;

namespace NativeBigModel.Tests.Server;

/// <summary>Many clients at once, those that leave, and those for whom there is no place.</summary>
[Collection(EngineGroup.Name)]
public class ServerLoadTests(ServedCapitals served) : IClassFixture<ServedCapitals>
{
    private const string Gone = "nbm_requests_total{endpoint=\"chat\",code=\"499\"}";
    private const string Chat = "v1/chat/completions";

    // Token 1 ends an answer.
    private const string Endless = """{"messages": [{"role": "user", "content": "Tell me a story"}], "temperature": 0, "logit_bias": {"1": -100}, "stream": true, "n": 8}""";

    [Fact]
    public async Task Places_are_given_first_come_first_served()
    {
        Places places = new(sessions: 2, queue: 1);
        Places.Ticket first = places.Enter(1), others = places.Enter(2);
        ApiException refusal = Assert.Throws<ApiException>(() => places.Enter(1));
        Assert.Equal((StatusCodes.Status429TooManyRequests, true), (refusal.Status, refusal.RetryAfter >= 1));
        IDisposable one = await first.TurnAsync(default), two = await others.TurnAsync(default);
        Task<IDisposable> three = others.TurnAsync(default);
        Assert.Equal((2, 1, false), (places.Active, places.Queued, three.IsCompleted));
        one.Dispose();
        first.Dispose();
        (await three).Dispose();
        two.Dispose();
        others.Dispose();
        Assert.Equal((0, 0), (places.Active, places.Queued));
        // Nobody is inside: more than there are places are let in, and take their turns.
        places.Enter(20).Dispose();
    }

    [Fact]
    public async Task One_request_too_many_is_told_to_come_back()
    {
        // An answer may be over before the next request comes.
        for (int attempt = 0; attempt < 50; attempt++)
        {
            using HttpResponseMessage held = await Begin(Endless);
            using StringContent more = new(Endless, Encoding.UTF8, "application/json");
            using HttpResponseMessage refused = await served.Http.PostAsync(Chat, more);
            if (refused.StatusCode == HttpStatusCode.OK) continue;
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
            Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
            Assert.Equal("rate_limit_exceeded", (await ServedCapitals.Json(refused)).GetProperty("error").GetProperty("code").GetString());
            held.Dispose();
            await served.Idle();
            return;
        }
        Assert.Fail("no request was ever refused");
    }

    [Fact]
    public async Task A_client_that_leaves_costs_nothing_more()
    {
        await served.Idle();
        double before = await served.Metric("nbm_generated_tokens_total");
        using (HttpResponseMessage left = await Begin(Endless))
        {
            byte[] first = new byte[64];
            await left.Content.ReadAsStream().ReadExactlyAsync(first);
        }
        await served.Idle();
        // Eight answers that nobody ends fill the context of 256 tokens each.
        Assert.InRange(await served.Metric("nbm_generated_tokens_total") - before, 1, 8 * 200);
        // The request is counted after its place is free.
        for (int i = 0; i < 600 && await served.Metric(Gone) < 1; i++) await Task.Delay(50);
        Assert.True(await served.Metric(Gone) >= 1);
    }

    [Fact]
    public async Task After_a_storm_every_place_is_free_and_the_answer_is_the_same()
    {
        const string plain = """{"messages": [{"role": "user", "content": "What is the capital of Spain?"}], "temperature": 0}""";
        (_, JsonElement before) = await served.Post(Chat, plain);
        long end = Stopwatch.GetTimestamp() + 4 * Stopwatch.Frequency;
        int[] done = new int[5];
        await Task.WhenAll(Enumerable.Range(0, 6).Select(Client));
        Assert.All(done, count => Assert.True(count > 0));
        await served.Idle();
        (_, JsonElement after) = await served.Post(Chat, plain);
        Assert.Equal(Text(before), Text(after));

        async Task Client(int number)
        {
            for (int i = number; Stopwatch.GetTimestamp() < end; i++)
            {
                try { await One(i % done.Length); }
                catch (OperationCanceledException) { }
                done[i % done.Length]++;
            }
        }

        async Task One(int kind)
        {
            if (kind == 0)
            {
                (HttpStatusCode status, JsonElement answer) = await served.Post(Chat, plain);
                if (status == HttpStatusCode.OK) Assert.Equal(Text(before), Text(answer));
                else Assert.Equal(HttpStatusCode.TooManyRequests, status);
            }
            else if (kind == 1)
            {
                using HttpResponseMessage whole = await Begin(plain.Replace("}],", "}], \"stream\": true,", StringComparison.Ordinal));
                if (whole.IsSuccessStatusCode) Assert.EndsWith("data: [DONE]\n\n", await whole.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            }
            else if (kind == 2)
            {
                using HttpResponseMessage left = await Begin(Endless.Replace("\"n\": 8", "\"n\": 2", StringComparison.Ordinal));
            }
            else if (kind == 3)
            {
                using CancellationTokenSource cancel = new(TimeSpan.FromMilliseconds(30));
                using StringContent content = new(plain, Encoding.UTF8, "application/json");
                using HttpResponseMessage _ = await served.Http.PostAsync(Chat, content, cancel.Token);
            }
            else Assert.Equal(HttpStatusCode.BadRequest, (await served.Post(Chat, "{\"messages\": 1}")).Status);
        }
    }

    private async Task<HttpResponseMessage> Begin(string body)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, Chat) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        return await served.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    private static string Text(JsonElement body) => body.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!;
}
