namespace NativeBigModel.Native;

internal enum LlamaVocabType { None = 0, Spm = 1, Bpe = 2, Wpm = 3, Ugm = 4, Rwkv = 5, Plamo2 = 6, Test = 7 }

internal enum LlamaRopeScalingType { Unspecified = -1, None = 0, Linear = 1, Yarn = 2, LongRope = 3 }

internal enum LlamaPoolingType { Unspecified = -1, None = 0, Mean = 1, Cls = 2, Last = 3, Rank = 4 }

internal enum LlamaAttentionType { Unspecified = -1, Causal = 0, NonCausal = 1 }

internal enum LlamaFlashAttnType { Auto = -1, Disabled = 0, Enabled = 1 }

internal enum LlamaSplitMode { None = 0, Layer = 1, Row = 2, Tensor = 3 }

internal enum LlamaLoadMode { Auto = -1, None = 0, Mmap = 1, Mlock = 2, MmapMlock = 3, DirectIO = 4 }

internal enum LlamaLazyMode { Off = 0, Auto = 1, On = 2 }

internal enum LlamaContextType { Default = 0, Mtp = 1 }

internal enum LlamaModelKvOverrideType { Int = 0, Float = 1, Bool = 2, Str = 3 }

internal enum GgmlLogLevel { None = 0, Debug = 1, Info = 2, Warn = 3, Error = 4, Cont = 5 }

internal enum GgmlBackendDevType { Cpu = 0, Gpu = 1, IntegratedGpu = 2, Accelerator = 3, Meta = 4 }

/// <summary>What llama_decode and llama_encode return. Below <see cref="InvalidBatch"/>: a fatal error; what was processed stays in the context's memory.</summary>
internal enum LlamaDecodeStatus { InvalidBatch = -1, Success = 0, NoKvSlot = 1, Aborted = 2 }
