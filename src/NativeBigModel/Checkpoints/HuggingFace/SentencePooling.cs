using System.Text.Json;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>How the authors of an embedding model make one vector of many, as sentence-transformers writes it beside the weights.</summary>
internal static class SentencePooling
{
    private const long MaxBytes = 1 << 20;

    private static readonly (string Key, Pooling Pooling)[] s_modes =
        [("pooling_mode_mean_tokens", Pooling.Mean), ("pooling_mode_cls_token", Pooling.Cls), ("pooling_mode_lasttoken", Pooling.Last)];

    /// <summary>The pooling, or null where the folder says none that we have.</summary>
    /// <exception cref="CheckpointException">The file is malformed.</exception>
    public static Pooling? Read(string folder)
    {
        string path = Path.Combine(folder, "1_Pooling", "config.json");
        if (!File.Exists(path)) return null;
        using JsonDocument document = JsonFile.Open(path, MaxBytes);
        var config = new ConfigReader("1_Pooling/config.json", "", document.RootElement);
        return s_modes.Where(mode => config.OptionalBool(mode.Key) ?? false).Select(mode => (Pooling?)mode.Pooling).FirstOrDefault();
    }
}
