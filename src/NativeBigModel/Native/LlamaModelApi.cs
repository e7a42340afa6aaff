using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama.h: models.</summary>
internal static unsafe partial class LlamaModelApi
{
    private const string Llama = EngineLibrary.Llama;

    [LibraryImport(Llama, EntryPoint = "llama_model_default_params")]
    internal static partial LlamaModelParams LlamaModelDefaultParams();

    /// <summary>Builds a model from metadata, which must outlive the call only; <paramref name="setTensorData"/> is called for each weight.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_init_from_user")]
    internal static partial LlamaModelHandle LlamaModelInitFromUser(
        GgufHandle metadata, delegate* unmanaged[Cdecl]<GgmlTensor*, void*, void> setTensorData, void* userData, LlamaModelParams parameters);

    [LibraryImport(Llama, EntryPoint = "llama_model_load_from_file", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial LlamaModelHandle LlamaModelLoadFromFile(string path, LlamaModelParams parameters);

    [LibraryImport(Llama, EntryPoint = "llama_model_free")]
    internal static partial void LlamaModelFree(nint model);

    /// <summary>Lives as long as the model.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_get_vocab")]
    internal static partial LlamaVocab* LlamaModelGetVocab(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_ctx_train")]
    internal static partial int LlamaModelNCtxTrain(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_embd")]
    internal static partial int LlamaModelNEmbd(LlamaModelHandle model);

    /// <summary>Elements of a vector behind the last norm.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_n_embd_out")]
    internal static partial int LlamaModelNEmbdOut(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_layer")]
    internal static partial int LlamaModelNLayer(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_head")]
    internal static partial int LlamaModelNHead(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_head_kv")]
    internal static partial int LlamaModelNHeadKv(LlamaModelHandle model);

    /// <summary>Writes the text and its terminator; returns its length, or -1 where there is no such key.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_meta_val_str", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int LlamaModelMetaValStr(LlamaModelHandle model, string key, byte* buf, nuint bufSize);

    [LibraryImport(Llama, EntryPoint = "llama_model_desc")]
    internal static partial int LlamaModelDesc(LlamaModelHandle model, byte* buf, nuint bufSize);

    /// <summary>Bytes of all tensors that came from a file: 0 for a model built from metadata.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_size")]
    internal static partial ulong LlamaModelSize(LlamaModelHandle model);

    /// <summary>Elements of all tensors that came from a file: 0 for a model built from metadata.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_n_params")]
    internal static partial ulong LlamaModelNParams(LlamaModelHandle model);

    /// <summary>UTF-8, owned by the model; null where there is none.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_chat_template", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial byte* LlamaModelChatTemplate(LlamaModelHandle model, string? name);

    [LibraryImport(Llama, EntryPoint = "llama_model_has_encoder")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaModelHasEncoder(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_has_decoder")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaModelHasDecoder(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_decoder_start_token")]
    internal static partial int LlamaModelDecoderStartToken(LlamaModelHandle model);

    /// <summary>Tokens of the sliding window; 0 without one.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_n_swa")]
    internal static partial int LlamaModelNSwa(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_is_recurrent")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaModelIsRecurrent(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_is_hybrid")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaModelIsHybrid(LlamaModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_quantize_default_params")]
    internal static partial LlamaModelQuantizeParams LlamaModelQuantizeDefaultParams();

    /// <summary>0 on success.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_model_quantize", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial uint LlamaModelQuantize(string input, string output, in LlamaModelQuantizeParams parameters);
}
