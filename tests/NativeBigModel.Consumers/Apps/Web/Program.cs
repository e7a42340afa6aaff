using System.Runtime.CompilerServices;
using NativeBigModel;
using NativeBigModel.Planning;
using NativeBigModel.Server;

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
WebApplication app = builder.Build();
await using BigModel model = await BigModel.LoadAsync(args[0], new PlanOptions { ContextLength = 256 });
app.MapNativeBigModel(model);
app.MapGet("/texts", (string prompt, CancellationToken cancel) => Texts(prompt, cancel));
await app.RunAsync();

async IAsyncEnumerable<string> Texts(string prompt, [EnumeratorCancellation] CancellationToken cancel)
{
    await foreach (GenerationStep step in model.GenerateAsync(prompt, new GenerateOptions { Temperature = 0, MaxNewTokens = 40 }, cancel)) yield return step.Text;
}
