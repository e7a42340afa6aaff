using System.Collections.Immutable;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>A model as accelerate sees it: a tree of modules that own tensors. Its root has the empty path; a path joins names with dots.</summary>
/// <param name="root">The model itself.</param>
/// <param name="shared">Groups of paths of parameters that are one and the same tensor.</param>
internal sealed class ModuleTree(Module root, ImmutableArray<ImmutableArray<string>> shared)
{
    public Module Root { get; } = root;

    /// <summary>The groups that have several members, each in the order of the names.</summary>
    public ImmutableArray<ImmutableArray<string>> Tied { get; } =
        [.. shared.Where(group => group.Length > 1).Select(group => group.Order(StringComparer.Ordinal).ToImmutableArray())];

    /// <summary>Every module with its path, each before its children.</summary>
    public IEnumerable<(string Path, Module Module)> Modules => Root.Walk("");

    /// <summary>Every parameter with its path, and then every buffer: the order in which shared ones are counted.</summary>
    public IEnumerable<(string Path, ModuleTensor Tensor)> Tensors => Parameters.Concat(Buffers);

    public IEnumerable<(string Path, ModuleTensor Tensor)> Parameters => Modules.SelectMany(one => one.Module.Parameters.Select(tensor => (Join(one.Path, tensor.Name), tensor)));

    public IEnumerable<(string Path, ModuleTensor Tensor)> Buffers => Modules.SelectMany(one => one.Module.Buffers.Select(tensor => (Join(one.Path, tensor.Name), tensor)));

    public static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";

    /// <summary>Whether <paramref name="path"/> is <paramref name="module"/> or lies beneath it.</summary>
    public static bool IsIn(string path, string module) =>
        module.Length == 0 || (path.StartsWith(module, StringComparison.Ordinal) && (path.Length == module.Length || path[module.Length] == '.'));
}

/// <summary>A module: its own tensors, and its children in the order in which they are registered.</summary>
internal sealed record Module(string Name, string Class, ImmutableArray<ModuleTensor> Parameters, ImmutableArray<ModuleTensor> Buffers, ImmutableArray<Module> Children)
{
    public IEnumerable<(string Path, Module Module)> Walk(string path) =>
        Children.SelectMany(child => child.Walk(ModuleTree.Join(path, child.Name))).Prepend((path, this));
}

/// <summary>A parameter or buffer. A type is known where it could be loaded in another one.</summary>
internal sealed record ModuleTensor(string Name, long Bytes, TorchType? Type = null);
