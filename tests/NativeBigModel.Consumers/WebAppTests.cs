using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace NativeBigModel.Consumers;

/// <summary>An ASP.NET application, which streams what the model says as JSON, and has OpenAI's API beside it by the package for that.</summary>
[Collection(PackagesGroup.Name)]
public sealed class WebAppTests(Packages packages)
{
    [Fact]
    public async Task It_answers_requests_that_come_at_the_same_time()
    {
        string app = packages.App("Web", "web");
        packages.Dotnet(app, "build", "-o", "out");
        using Process server = packages.Start("dotnet", Path.Combine(app, "out"), "Web.dll", Packages.Model, "--urls", "http://127.0.0.1:0");
        try
        {
            string? address = null;
            while (address is null && await server.StandardOutput.ReadLineAsync() is { } line)
                if (line.Split("Now listening on: ") is [_, string at]) address = at;
            Assert.NotNull(address);
            using HttpClient client = new() { BaseAddress = new Uri(address), Timeout = TimeSpan.FromMinutes(2) };
            string[] bodies = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => client.GetStringAsync(new Uri($"/texts?prompt={Uri.EscapeDataString(Packages.Prompt)}", UriKind.Relative))));
            Assert.All(bodies, static body => Assert.Equal(Packages.Answer, string.Concat(JsonSerializer.Deserialize<string[]>(body)!)));
            using StringContent request = new(JsonSerializer.Serialize(new { prompt = Packages.Prompt, temperature = 0, max_tokens = 40 }), Encoding.UTF8, "application/json");
            using HttpResponseMessage completion = await client.PostAsync(new Uri("/v1/completions", UriKind.Relative), request);
            using JsonDocument said = JsonDocument.Parse(await completion.Content.ReadAsStringAsync());
            Assert.Equal(Packages.Answer, said.RootElement.GetProperty("choices")[0].GetProperty("text").GetString());
            Assert.Contains("<html", await client.GetStringAsync(new Uri("/", UriKind.Relative)), StringComparison.OrdinalIgnoreCase);
        }
        finally
        {
            server.Kill(entireProcessTree: true);
        }
    }
}
