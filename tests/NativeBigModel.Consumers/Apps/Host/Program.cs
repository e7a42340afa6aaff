using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

// A host that knows nothing of the library: it loads a plug-in that uses it, runs it, unloads it, and does so again.
for (int round = 0; round < 2; round++)
{
    WeakReference context = await Run(args[0], args[1], args[2]);
    for (int i = 0; i < 50 && context.IsAlive; i++)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        await Task.Delay(20);
    }
    Console.WriteLine(context.IsAlive ? "still loaded" : "unloaded");
}

[MethodImpl(MethodImplOptions.NoInlining)]
static async Task<WeakReference> Run(string assembly, string model, string prompt)
{
    var context = new PluginContext(assembly);
    MethodInfo answer = context.LoadFromAssemblyPath(assembly).GetType("Plugin")!.GetMethod("Answer")!;
    Console.WriteLine(await (Task<string>)answer.Invoke(null, [model, prompt])!);
    context.Unload();
    return new WeakReference(context);
}

internal sealed class PluginContext(string assembly) : AssemblyLoadContext(isCollectible: true)
{
    private readonly AssemblyDependencyResolver _resolver = new(assembly);

    protected override Assembly? Load(AssemblyName name) => _resolver.ResolveAssemblyToPath(name) is { } path ? LoadFromAssemblyPath(path) : null;
}
