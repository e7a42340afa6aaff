using System.Reflection;

namespace NativeBigModel.Tests;

/// <summary>A test on the GPUs of native/tests/gpus.h: CPU devices that have memory and streams of their own, as GPUs do.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TestGpusFactAttribute : FactAttribute
{
    public TestGpusFactAttribute()
    {
        if (!File.Exists(TestGpus.Library)) Skip = "the GPUs that are not there are built for Linux only";
    }
}

/// <summary>Processes that see GPUs where there are none. This one sees none of them.</summary>
internal static class TestGpus
{
    private const string Call = "--call";

    public static string Library { get; } = Path.Combine(AppContext.BaseDirectory, "libnbm_test_gpus.so");

    /// <summary>The variables with which a process sees them.</summary>
    /// <param name="bytes">The memory of each: 1000 for one that has 1000 bytes, 1000/500 for one that says so and gives 500, 1000+ for one that reads the host's memory too, 1000- for one that pins none.</param>
    public static Dictionary<string, string> Environment(params string[] bytes) => new()
    {
        ["GGML_BACKEND_PATH"] = Library,
        ["NBM_TEST_GPUS"] = string.Join(',', bytes),
        ["NBM_ENGINE_PATH"] = Path.Combine(AppContext.BaseDirectory, "engines", "cpu"),
    };

    /// <summary>Runs a test that captures nothing, in a process with GPUs.</summary>
    public static async Task Run(string[] bytes, Func<Task> test)
    {
        MethodInfo method = test.Method;
        Tool.Result result = await Tool.Run("NativeBigModel.Tests.dll", [Call, method.DeclaringType!.FullName!, method.Name], environment: Environment(bytes));
        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}\n{result.Output}{result.Errors}");
    }

    public static async Task<int> Main(string[] arguments)
    {
        if (arguments is not [Call, string type, string name]) return 2;
        Type owner = typeof(TestGpus).Assembly.GetType(type, throwOnError: true)!;
        MethodInfo method = owner.GetMethod(name, BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)!;
        try { await (Task)method.Invoke(method.IsStatic ? null : Activator.CreateInstance(owner, nonPublic: true), null)!; }
        catch (Exception failure)
        {
            Console.Error.WriteLine(failure);
            return 1;
        }
        return 0;
    }
}
