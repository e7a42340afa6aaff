using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Tensors;

namespace NativeBigModel;

/// <summary>Plans whose compute buffers are the engine's own.</summary>
public static class EnginePlanner
{
    private const int Rounds = 6; // until a plan and the buffers that it makes agree

    extension(Checkpoint checkpoint)
    {
        /// <summary>
        /// Plans as <see cref="Planner.Plan"/> does, and asks the engine what its compute buffers take for the very plan: llama.cpp lays everything out and allocates
        /// nothing. Where the engine is missing, or a GPU of the plan is not in this machine, they are estimated; <see cref="Plan.ComputeMeasured"/> says which.
        /// </summary>
        /// <param name="machine">What there is.</param>
        /// <param name="options">What is asked for.</param>
        /// <exception cref="BigModelException">As <see cref="Planner.Plan"/>.</exception>
        public Plan Plan(Machine machine, PlanOptions options)
        {
            ArgumentNullException.ThrowIfNull(machine);
            ArgumentNullException.ThrowIfNull(options);
            ModelDefinition definition = checkpoint.Define(options.WeightType);
            if (options.ComputeBytes is not null) return Planner.Plan(definition.Shape, machine, options);
            if (options.Optimize is not { } objective) return Settle(definition, machine, options) ?? Planner.Plan(definition.Shape, machine, options);
            return Choose(objective, definition, machine, options);
        }
    }

    // Other buffers than the estimated ones leave room for other layers, and what link and CPU divide is out of balance: it is chosen once more, with those that the first choice has.
    private static Plan Choose(Objective objective, ModelDefinition definition, Machine machine, PlanOptions options)
    {
        var speeds = new SpeedModel(definition.Shape, machine.Speeds ?? MachineSpeeds.Assumed);
        PlanChoice first = Estimated(objective, definition.Shape, machine, options, speeds);
        if (Settle(definition, machine, first.Options) is not { } settled) return Noted(first.Plan, first);
        PlanOptions exact = options with { BatchSize = settled.BatchSize, ComputeBytes = settled.Devices.ToDictionary(device => device.Name, device => device.ComputeBytes) };
        try
        {
            PlanChoice second = PlanSearch.Best(objective, definition.Shape, machine, exact, speeds);
            if (Settle(definition, machine, second.Options) is { } again && PlanSearch.Prefers(objective, again, settled)) return Noted(again, second);
        }
        catch (DoesNotFitException) { } // nothing else does with these buffers; what is settled does
        return Noted(settled, first);
    }

    private static Plan Noted(Plan plan, PlanChoice choice) => plan with { Notes = [.. plan.Notes, choice.Note] };

    // Many plans are compared by estimated buffers; where those leave room for none, by buffers of no bytes.
    private static PlanChoice Estimated(Objective objective, ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        try { return PlanSearch.Best(objective, model, machine, options, speeds); }
        catch (DoesNotFitException) { return PlanSearch.Best(objective, model, machine, options with { ComputeBytes = new Dictionary<string, long>() }, speeds); }
    }

    // Begins with buffers of no bytes: what they take, less can be put beside them, and that may change what they take.
    private static Plan? Settle(ModelDefinition definition, Machine machine, PlanOptions options)
    {
        IReadOnlyDictionary<string, long> known = new Dictionary<string, long>();
        for (int round = 0; round < Rounds; round++)
        {
            Plan plan = Planner.Plan(definition.Shape, machine, options with { ComputeBytes = known });
            if (VirtualLoad.Measure(definition, plan) is not { } memory) return null;
            Dictionary<string, long> measured = memory.ToDictionary(device => device.Device, device => device.ComputeBytes);
            if (plan.Devices.All(device => measured.GetValueOrDefault(device.Name) <= device.ComputeBytes))
                return plan with { Devices = [.. plan.Devices.Select(device => device with { ComputeBytes = measured.GetValueOrDefault(device.Name) })] };
            known = round < 2 ? measured : known.Concat(measured).GroupBy(device => device.Key).ToDictionary(device => device.Key, device => device.Max(bytes => bytes.Value));
        }
        return null;
    }
}
