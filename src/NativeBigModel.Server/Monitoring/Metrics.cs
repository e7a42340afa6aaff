using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using NativeBigModel.Planning;

namespace NativeBigModel.Server;

/// <summary>What the server has done since it began. Thread-safe.</summary>
internal sealed class Metrics
{
    private const int Window = 10;

    private readonly ConcurrentDictionary<(string Endpoint, int Code), long> _requests = new();
    private readonly Lock _gate = new();
    private readonly int[] _tokensBySecond = new int[Window + 1];
    private long _second;
    private long _prompts, _promptTokens, _cachedTokens, _tokens;
    private double _promptSeconds;

    /// <summary>Tokens a second over the last 10 seconds.</summary>
    public double TokensPerSecond
    {
        get
        {
            lock (_gate)
            {
                long now = Advance();
                // The second that has just begun says little.
                return Enumerable.Range(1, Window).Sum(ago => _tokensBySecond[Slot(now - ago)]) / (double)Window;
            }
        }
    }

    /// <summary>Counts a request that was answered.</summary>
    public void Request(string endpoint, int code) => _requests.AddOrUpdate((endpoint, code), 1, static (_, count) => count + 1);

    /// <summary>Counts the tokens of a request's prompt.</summary>
    public void PromptTokens(int count) => Interlocked.Add(ref _promptTokens, count);

    /// <summary>Counts a prompt that was computed.</summary>
    public void Prompt(TimeSpan took, int cached)
    {
        lock (_gate)
        {
            _prompts++;
            _promptSeconds += took.TotalSeconds;
            _cachedTokens += cached;
        }
    }

    /// <summary>Counts a token of an answer.</summary>
    public void Token()
    {
        lock (_gate)
        {
            _tokens++;
            _tokensBySecond[Slot(Advance())]++;
        }
    }

    /// <summary>Everything as Prometheus reads it (text format 0.0.4).</summary>
    public string Write(ServedModel served)
    {
        var text = new StringBuilder();
        Family("nbm_requests_total", "counter", "Requests that were answered, by endpoint and HTTP status; 499 where the client closed the connection");
        foreach (((string endpoint, int code), long count) in _requests.OrderBy(static one => one.Key)) Line($"nbm_requests_total{{endpoint=\"{endpoint}\",code=\"{code}\"}}", count);
        (long prompts, double promptSeconds, long cached, long tokens) = (0, 0, 0, 0);
        lock (_gate) (prompts, promptSeconds, cached, tokens) = (_prompts, _promptSeconds, _cachedTokens, _tokens);
        One("nbm_prompt_tokens_total", "counter", "Tokens of prompts", Interlocked.Read(ref _promptTokens));
        One("nbm_cached_prompt_tokens_total", "counter", "Tokens of prompts that were not computed again", cached);
        One("nbm_generated_tokens_total", "counter", "Tokens of answers", tokens);
        Family("nbm_prompt_seconds", "summary", "Time that prompts took, without waiting for their turn");
        Line("nbm_prompt_seconds_sum", promptSeconds);
        Line("nbm_prompt_seconds_count", prompts);
        One("nbm_tokens_per_second", "gauge", $"Tokens of answers a second, over the last {Window} seconds", TokensPerSecond);
        One("nbm_answers_active", "gauge", "Answers that are computed", served.Places.Active);
        One("nbm_answers_queued", "gauge", "Answers that wait for their turn", served.Places.Queued);
        One("nbm_sessions", "gauge", "Answers that the plan computes together", served.Model.Plan.Sessions);
        Devices(served.Model.Plan);
        if (served.Model.Streaming is { } streaming) Streaming(streaming);
        return text.ToString();

        void Devices(Plan plan)
        {
            Family("nbm_device_bytes", "gauge", "Bytes that the plan puts on a device");
            foreach (DevicePlan device in plan.Devices)
                foreach ((string kind, long bytes) in ((string, long)[])[("weights", device.WeightBytes), ("kv", device.KvBytes), ("ring", device.RingBytes), ("staging", device.StagingBytes), ("compute", device.ComputeBytes)])
                    Line($"nbm_device_bytes{{device=\"{device.Name}\",kind=\"{kind}\"}}", bytes);
            Family("nbm_device_limit_bytes", "gauge", "Bytes that a device may hold");
            foreach (DevicePlan device in plan.Devices.Where(static device => device.LimitBytes is not null)) Line($"nbm_device_limit_bytes{{device=\"{device.Name}\"}}", device.LimitBytes!.Value);
        }

        void Streaming(StreamingStats streaming)
        {
            One("nbm_streamed_host_bytes_total", "counter", "Bytes that were streamed from memory", streaming.BytesFromHost);
            One("nbm_streamed_file_bytes_total", "counter", "Bytes that were streamed from disk", streaming.BytesFromFile);
            One("nbm_stream_wait_seconds_total", "counter", "Time that computing stood still for layers", streaming.WaitTime.TotalSeconds);
            if (streaming.PeakSpeed is { } peak) One("nbm_streamed_peak_bytes_per_second", "gauge", "The quickest load of a group", peak);
            // Where several GPUs stream a layer may be two groups of one name.
            var groups = streaming.Groups.GroupBy(static group => group.Name).Select(static same => (Name: same.Key, Bytes: same.Sum(static group => group.Bytes * group.Loads), Load: same.Sum(static group => group.LoadTime.TotalSeconds), Wait: same.Sum(static group => group.WaitTime.TotalSeconds))).ToArray();
            Family("nbm_group_streamed_bytes_total", "counter", "Bytes that were streamed, by group");
            foreach (var group in groups) Line($"nbm_group_streamed_bytes_total{{group=\"{group.Name}\"}}", group.Bytes);
            if (!streaming.Timed) return;
            Family("nbm_group_load_seconds_total", "counter", "Time in which a group came");
            foreach (var group in groups) Line($"nbm_group_load_seconds_total{{group=\"{group.Name}\"}}", group.Load);
            Family("nbm_group_wait_seconds_total", "counter", "Time that computing stood still for a group");
            foreach (var group in groups) Line($"nbm_group_wait_seconds_total{{group=\"{group.Name}\"}}", group.Wait);
            Family("nbm_group_bytes_per_second", "gauge", "The speed at which a group came, over all of its loads");
            foreach (var group in groups.Where(static group => group.Load > 0)) Line($"nbm_group_bytes_per_second{{group=\"{group.Name}\"}}", group.Bytes / group.Load);
        }

        void Family(string name, string type, string help) => text.Append("# HELP ").Append(name).Append(' ').Append(help).Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

        void Line(string name, double value) => text.Append(name).Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');

        void One(string name, string type, string help, double value)
        {
            Family(name, type, help);
            Line(name, value);
        }
    }

    private static int Slot(long second) => (int)(second % (Window + 1));

    // Empties the seconds that have begun since.
    private long Advance()
    {
        long now = Stopwatch.GetTimestamp() / Stopwatch.Frequency;
        for (long second = Math.Max(_second, now - Window - 1) + 1; second <= now; second++) _tokensBySecond[Slot(second)] = 0;
        _second = now;
        return now;
    }
}
