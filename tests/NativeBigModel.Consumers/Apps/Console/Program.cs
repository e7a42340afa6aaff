using NativeBigModel;
using NativeBigModel.Planning;

// Streamed, so that the plug-in is needed as well as the engine.
var options = new PlanOptions { ContextLength = 256, Offload = OffloadMode.Stream };
try
{
    await using BigModel model = await BigModel.LoadAsync(args[0], options);
    await foreach (GenerationStep step in model.GenerateAsync(args[1], new GenerateOptions { Temperature = 0, MaxNewTokens = 40 })) Console.Write(step.Text);
}
catch (BigModelException problem)
{
    Console.Error.WriteLine($"{problem.GetType().Name}: {problem.Message}");
    return 5;
}
return 0;
