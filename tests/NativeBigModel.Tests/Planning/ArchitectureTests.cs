using System.Reflection;
using System.Reflection.Emit;
using NativeBigModel.Architectures;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Rules on who may know whom, and lists that nobody may forget to extend.</summary>
public class ArchitectureTests
{
    private const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly Assembly s_library = typeof(Plan).Assembly;
    private static readonly OpCode[] s_opCodes = [.. typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (OpCode)field.GetValue(null)!)];

    [Fact]
    public void Planning_knows_neither_the_engine_nor_files_nor_the_network_nor_processes()
    {
        var found = from type in s_library.GetTypes()
                    where Namespace(type) ?.StartsWith("NativeBigModel.Planning", StringComparison.Ordinal) == true
                    from used in Uses(type)
                    where IsForbidden(used)
                    select $"{type} uses {used}";
        Assert.Empty(found.Distinct());
    }

    [Theory]
    [InlineData("NativeBigModel.Conversion.ModelFiles", "System.IO.File")]
    [InlineData("NativeBigModel.Conversion.RowEncoder", "NativeBigModel.Native.GgmlQuantizer")]
    [InlineData("NativeBigModel.Native.EngineLibrary", "System.Diagnostics.Process")]
    public void The_walk_finds_what_stands_in_method_bodies(string type, string used)
    {
        Type[] uses = [.. s_library.GetTypes().Where(one => one.FullName == type || one.DeclaringType?.FullName == type).SelectMany(Uses)];
        Assert.Contains(uses, one => one.FullName == used && IsForbidden(one));
    }

    [Fact]
    public void Every_type_that_binds_the_engine_is_internal()
    {
        Type[] native = [.. s_library.GetTypes().Where(type => Namespace(type) == "NativeBigModel.Native")];
        Assert.NotEmpty(native);
        Assert.DoesNotContain(native, type => type.IsVisible);
    }

    [Fact]
    public void Every_architecture_is_registered()
    {
        IEnumerable<string> written = s_library.GetTypes().Where(type => type.IsSubclassOf(typeof(Architecture)) && !type.IsAbstract).Select(type => type.Name).Order();
        Assert.Equal(written, ArchitectureRegistry.All.Select(family => family.GetType().Name).Order());
        Assert.Equal(ArchitectureRegistry.All.Sum(family => family.HuggingFaceClasses.Count), ArchitectureRegistry.All.SelectMany(family => family.HuggingFaceClasses).Distinct().Count());
    }

    [Fact]
    public void A_tensor_of_a_layer_is_made_of_weights_of_that_layer()
    {
        foreach (TensorRule rule in ArchitectureRegistry.All.SelectMany(family => family.Tensors.Rules))
        {
            Assert.Equal(rule.PerLayer ? 7 : -1, new TensorSpec(rule.Gguf.Replace("{}", "7", StringComparison.Ordinal), [1], TensorType.F32).Layer);
            // Of T5's position bias there is one for all layers.
            bool shared = rule.Gguf.EndsWith("attn_rel_b.weight", StringComparison.Ordinal);
            Assert.All(rule.HuggingFace.Patterns, name => Assert.Equal(rule.PerLayer && !shared, name.Contains("{}", StringComparison.Ordinal)));
        }
    }

    private static bool IsForbidden(Type type) =>
        Namespace(type) is { } name
        && (name == "NativeBigModel.Native" || name == "System.IO" || name.StartsWith("System.IO.", StringComparison.Ordinal)
            || name == "System.Net" || name.StartsWith("System.Net.", StringComparison.Ordinal)
            || type.FullName == "System.Diagnostics.Process");

    // Types that the compiler makes have no namespace but their declaring type's.
    private static string? Namespace(Type type) => type.DeclaringType is { } outer ? Namespace(outer) : type.Namespace;

    private static IEnumerable<Type> Uses(Type type)
    {
        IEnumerable<Type?> direct =
        [
            type.BaseType, .. type.GetInterfaces(), .. type.GetFields(All).Select(field => field.FieldType),
            .. type.GetMethods(All).SelectMany(method => (Type?[])[method.ReturnType, .. method.GetParameters().Select(parameter => parameter.ParameterType)]),
            .. type.GetMethods(All).Concat<MethodBase>(type.GetConstructors(All)).SelectMany(InBody),
        ];
        return direct.OfType<Type>().SelectMany(Parts);
    }

    private static IEnumerable<Type> Parts(Type type) =>
        type.HasElementType ? Parts(type.GetElementType()!) : type.IsGenericType ? [type, .. type.GetGenericArguments().SelectMany(Parts)] : [type];

    private static IEnumerable<Type?> InBody(MethodBase method)
    {
        if (method.GetMethodBody() is not { } body || body.GetILAsByteArray() is not { } code) yield break;
        foreach (LocalVariableInfo local in body.LocalVariables) yield return local.LocalType;
        for (int at = 0; at < code.Length;)
        {
            short value = code[at] == 0xfe ? (short)(0xfe00 | code[at + 1]) : code[at];
            OpCode instruction = s_opCodes.Single(one => one.Value == value);
            at += instruction.Size;
            if (instruction.OperandType is OperandType.InlineMethod or OperandType.InlineField or OperandType.InlineType or OperandType.InlineTok)
            {
                Type[]? ofMethod = method.IsGenericMethod ? method.GetGenericArguments() : null;
                MemberInfo member = method.Module.ResolveMember(BitConverter.ToInt32(code, at), method.DeclaringType!.GetGenericArguments(), ofMethod)!;
                yield return member as Type ?? member.DeclaringType;
                if (member is FieldInfo field) yield return field.FieldType;
                if (member is MethodInfo called)
                {
                    yield return called.ReturnType;
                    foreach (Type argument in called.GetGenericArguments()) yield return argument;
                }
            }
            at += instruction.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code, at),
                _ => 4,
            };
        }
    }
}
