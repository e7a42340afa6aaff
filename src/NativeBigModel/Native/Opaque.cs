namespace NativeBigModel.Native;

// Types that the engine owns and that are only ever pointed to.

internal readonly struct LlamaVocab;

internal readonly struct LlamaMemory;

/// <summary>A sampler that no handle owns (yet): what llama_sampler_init_* returns. Adding it to a chain gives it to the chain.</summary>
internal readonly struct LlamaSampler;

internal readonly struct GgmlBackendDevice;

internal readonly struct GgmlBackendReg;

internal readonly struct GgmlBackendBufferType;

internal readonly struct GgmlBackendBuffer;

internal readonly struct GgmlContext;
