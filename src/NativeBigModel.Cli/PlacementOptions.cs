using System.CommandLine;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli;

/// <summary>The options that say what to plan for, as several commands have them.</summary>
internal sealed class PlacementOptions
{
    private readonly Option<string?> _type = new("--type") { Description = "Store the weights as F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, ...; as they are unless given", HelpName = "T" };

    private readonly Option<string?> _maxMemory = new("--max-memory") { Description = "Bytes each device may hold, such as 0=10GiB,1=10GiB,cpu=20GiB; all that is free unless given", HelpName = "DEVICE=SIZE,..." };

    private readonly Option<int?> _context = new("--context") { Description = $"Tokens one conversation may hold; {PlanOptions.DefaultContextLength} or the model's own unless given", HelpName = "N" };

    private readonly Option<int> _sessions = new("--sessions") { Description = "Conversations that are computed at the same time, each with a context of its own", HelpName = "N", DefaultValueFactory = _ => 1 };

    private readonly Option<string> _kvType = new("--kv-type") { Description = "Type of the KV cache: F16, BF16, F32, Q8_0 or Q4_0", HelpName = "T", DefaultValueFactory = _ => "F16" };

    private readonly Option<string> _offload = new("--offload")
    {
        Description = "Layers beyond the GPUs: cpu computes them, stream brings them from memory as they are needed, hybrid does both at once, disk streams from disk. stream and disk without --max-memory stream every layer",
        HelpName = "cpu|stream|hybrid|disk",
        DefaultValueFactory = _ => "cpu",
    };

    private readonly Option<string?> _deviceMap = new("--device-map")
    {
        Description = $"Place modules as accelerate does, by a strategy ({string.Join(", ", DeviceMap.Strategies.Keys)}) or by name from a JSON file, such as {{\"model.layers\": 0, \"\": \"cpu\"}}",
        HelpName = "STRATEGY|FILE",
    };

    private readonly Option<bool> _fallback = new("--fallback-allocation") { Description = "With a strategy of --device-map, let a device that the next module does not fit take a later one, as accelerate does when told so" };

    private readonly Option<double?> _ring = new("--ring") { Description = "Length of the ring that streamed layers pass through, in layers: 1 or more [default: 1.5, or what the limits leave room for, up to 2.5]", HelpName = "N" };

    private readonly Option<double?> _cpuShare = new("--cpu-share") { Description = "With --offload hybrid, the share of the bytes beyond the GPUs that the CPU computes; what its speed is of that of both, as nbm doctor --calibrate measured them or an ordinary desktop has them, unless given", HelpName = "0..1" };

    private readonly Option<int?> _linkedExperts = new("--linked-experts") { Description = "Of the experts that a token uses, those that a GPU reads over its link from host memory while the CPU computes the others; the number with the fastest tokens, if the GPUs can, unless given", HelpName = "N" };

    private readonly Option<int?> _sharedBatch = new("--shared-batch") { Description = $"Tokens of a prompt from which a hybrid plan streams what the CPU computes for fewer; the least number with which that is faster on a machine that nbm doctor --calibrate measured, and else {PlanOptions.UsualSharedBatchSize}, unless given", HelpName = "N" };

    private readonly Option<string?> _optimize = new("--optimize")
    {
        Description = "Choose placement, CPU share, ring and batch for the least predicted time a token (decode), for a prompt (prefill), for both (balanced), or for the least memory that is nearly as fast",
        HelpName = "decode|prefill|balanced|memory",
    };

    private readonly Option<int?> _threads = new("--threads") { Description = "Threads of the CPU; unless given, as many as nbm doctor --calibrate found the fastest, or one for each core", HelpName = "N" };

    private readonly Option<string?> _offloadFolder = new("--offload-folder") { Description = "Where tensors that stay on disk are written if the checkpoint has them in another layout or type", HelpName = "DIR" };

    private readonly bool _choosesCache;

    private readonly bool _choosesSessions;

    /// <param name="choosesCache">Whether context and KV type are the user's to choose.</param>
    /// <param name="choosesSessions">Whether the number of sessions is, as one number.</param>
    public PlacementOptions(bool choosesCache = true, bool choosesSessions = true) => (_choosesCache, _choosesSessions) = (choosesCache, choosesSessions);

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        command.Add(_type);
        command.Add(_maxMemory);
        if (_choosesCache)
        {
            command.Add(_context);
            if (_choosesSessions) command.Add(_sessions);
            command.Add(_kvType);
        }
        command.Add(_offload);
        command.Add(_deviceMap);
        command.Add(_fallback);
        command.Add(_ring);
        command.Add(_cpuShare);
        command.Add(_linkedExperts);
        command.Add(_sharedBatch);
        command.Add(_optimize);
        command.Add(_threads);
        command.Add(_offloadFolder);
    }

    /// <summary>The first of the options that the user wrote, or null: what a plan from a file already says.</summary>
    public string? FirstGiven(ParseResult parsed) =>
        parsed.FirstGiven(_type, _maxMemory, _context, _sessions, _kvType, _offload, _deviceMap, _fallback, _ring, _cpuShare, _linkedExperts, _sharedBatch, _optimize, _threads, _offloadFolder);

    /// <exception cref="InvalidOptionException">A value is none of those allowed; the message lists them.</exception>
    public PlanOptions Read(ParseResult parsed)
    {
        if (parsed.GetValue(_optimize) is not null && parsed.FirstGiven(_offload, _cpuShare) is { } decided)
            throw new InvalidOptionException($"{decided} and --optimize: one of them decides");
        DeviceMap? map = parsed.GetValue(_deviceMap) is { } text ? ReadDeviceMap(text) : null;
        if (parsed.GetValue(_fallback)) map = map is { Entries.IsEmpty: true } ? map with { FallbackAllocation = true } : throw new InvalidOptionException($"{_fallback.Name}: {_deviceMap.Name} says by which strategy, {string.Join(", ", DeviceMap.Strategies.Keys)}");
        var options = new PlanOptions
        {
            WeightType = parsed.GetValue(_type) is { } type ? WeightTypes.Parse(type) : WeightType.AsStored,
            MaxMemory = parsed.GetValue(_maxMemory) is { } limits ? MemoryLimits.Parse(limits) : null,
            Offload = OneOf("--offload", parsed.GetRequiredValue(_offload), Enum.GetValues<OffloadMode>()),
            DeviceMap = map,
            RingLayers = parsed.GetValue(_ring),
            CpuShare = parsed.GetValue(_cpuShare),
            LinkedExperts = parsed.GetValue(_linkedExperts),
            SharedBatchSize = parsed.GetValue(_sharedBatch),
            Optimize = parsed.GetValue(_optimize) is { } objective ? OneOf("--optimize", objective, Enum.GetValues<Objective>()) : null,
            Threads = parsed.GetValue(_threads),
            OffloadFolder = parsed.GetValue(_offloadFolder),
        };
        return _choosesCache
            ? options with { ContextLength = parsed.GetValue(_context), Sessions = _choosesSessions ? parsed.GetValue(_sessions) : 1, KvType = OneOf("--kv-type", parsed.GetRequiredValue(_kvType), KvCache.Types) }
            : options;
    }

    private static DeviceMap ReadDeviceMap(string text) =>
        DeviceMap.Strategies.TryGetValue(text, out DeviceMap? strategy) ? strategy
        : File.Exists(text) ? DeviceMap.FromJson(File.ReadAllText(text))
        : throw new InvalidOptionException($"--device-map: '{text}' is not a file, nor one of {string.Join(", ", DeviceMap.Strategies.Keys)}");

    private static T OneOf<T>(string option, string name, IReadOnlyList<T> values) where T : struct, Enum =>
        values.Where(value => value.ToString().Equals(name, StringComparison.OrdinalIgnoreCase)).Cast<T?>().FirstOrDefault()
            ?? throw new InvalidOptionException($"{option}: '{name}' is not one of {string.Join(", ", values)}");
}
