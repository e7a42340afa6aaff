namespace NativeBigModel.Planning;

/// <summary>
/// Experts that rest in host memory and are divided: for one token a GPU computes some of those that it uses, reading them over its link, while the CPU computes the others.
/// </summary>
internal static class LinkedExperts
{
    /// <exception cref="InvalidOptionException">A token does not use so many experts.</exception>
    public static void Require(ModelShape model, int linked)
    {
        if (linked < 0 || linked > model.ExpertUsedCount) throw new InvalidOptionException($"{linked} linked experts: a token uses {model.ExpertUsedCount} of this model's experts, and 0 to as many may be linked");
    }

    /// <summary>Whether it can be chosen for a model on these GPUs: there is one, and each of them reads host memory.</summary>
    public static bool MayBeChosen(ModelShape model, Machine machine, MemoryLimits limits) =>
        model.ExpertUsedCount > 0 && !limits.Gpus.IsEmpty && limits.Gpus.Keys.All(gpu => gpu < machine.Gpus.Length && machine.Gpus[gpu].ReadsHostMemory);

    /// <summary>Names of the parts of a plan that can be divided: those with experts that the CPU computes where they rest.</summary>
    public static HashSet<string> Divisible(Plan plan, ModelShape model)
    {
        HashSet<string> parts = [.. model.Tensors.Where(FeedForwardPart.HoldsExperts).Select(tensor => FeedForwardPart.Of(tensor.Layer))];
        parts.IntersectWith(plan.Layers.Where(FeedForwardPart.IsShared).Select(layer => layer.Name));
        return parts;
    }

    /// <summary>Names of the parts that a plan divides.</summary>
    public static HashSet<string> Divided(Plan plan, ModelShape model) => plan.LinkedExperts > 0 ? Divisible(plan, model) : [];
}
