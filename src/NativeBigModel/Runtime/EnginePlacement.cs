using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>
/// A plan in llama.cpp's terms: a list of devices and how many consecutive layers each takes. Host memory is the last device of the list when
/// some layers go there, so that layers and their KV cache land exactly where the plan has them.
/// </summary>
/// <param name="Devices">Null-terminated, as llama_model_params.devices; only the terminator for a plan without GPUs.</param>
/// <param name="TensorSplit">Layers per device, padded to llama_max_devices().</param>
/// <param name="OffloadedLayers">n_gpu_layers: all, or none without GPUs.</param>
internal sealed record EnginePlacement(nint[] Devices, float[] TensorSplit, int OffloadedLayers)
{
    /// <exception cref="DoesNotFitException">The plan leaves layers on disk.</exception>
    /// <exception cref="EngineException">The plan uses a GPU that is not here.</exception>
    public static EnginePlacement Of(Plan plan)
    {
        if (plan.UsesDisk)
        {
            DevicePlan disk = plan.Devices.First(device => device.Name == DeviceName.Disk);
            throw new DoesNotFitException(DeviceName.Disk, disk.WeightBytes, 0,
                "these bytes fit neither the GPUs nor host memory, and running from disk is not in this version: allow more memory, a smaller --type or a shorter context");
        }
        List<(string Device, int Layers)> runs = [.. plan.Layers.Where(layer => layer.Name != "input").GroupBy(layer => layer.Device).Select(run => (run.Key, run.Count()))];
        var split = new float[(int)LlamaSystemApi.LlamaMaxDevices()];
        if (runs is [(DeviceName.Host, _)]) return new([0], split, 0);
        for (int i = 0; i < runs.Count; i++) split[i] = runs[i].Layers;
        return new([.. runs.Select(run => Find(run.Device)), 0], split, runs.Sum(run => run.Layers));
    }

    private static nint Find(string name)
    {
        if (DeviceName.GpuIndex(name) is not { } index) return EngineDevices.Host();
        IReadOnlyList<nint> gpus = EngineDevices.Gpus();
        return index < gpus.Count ? gpus[index] : throw new EngineException($"the plan uses GPU {index}, and the engine sees {gpus.Count}");
    }
}
