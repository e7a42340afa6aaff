using NativeBigModel;
using NativeBigModel.Planning;

public static class Plugin
{
    public static async Task<string> Answer(string path, string prompt)
    {
        await using BigModel model = await BigModel.LoadAsync(path, new PlanOptions { ContextLength = 256, Offload = OffloadMode.Stream });
        var text = new System.Text.StringBuilder();
        await foreach (GenerationStep step in model.GenerateAsync(prompt, new GenerateOptions { Temperature = 0, MaxNewTokens = 40 })) text.Append(step.Text);
        return text.ToString();
    }
}
