using System.Globalization;
using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli;

/// <summary>A machine as a person or a program reads it.</summary>
internal static class DoctorReport
{
    public static void Print(MachineReport report, IAnsiConsole console)
    {
        Table facts = new Table().Border(TableBorder.None).HideHeaders().AddColumn(new TableColumn("").NoWrap()).AddColumn("");
        for (int i = 0; i < report.Gpus.Length; i++)
        {
            GpuReport gpu = report.Gpus[i];
            Add($"GPU {i}", $"{gpu.Description} ({gpu.Name}), {ByteSize.Format(gpu.FreeBytes)} free of {ByteSize.Format(gpu.TotalBytes)}{(gpu.ComputeCapability is { } capability ? $", compute capability {capability}" : "")}{(gpu.ReadsHostMemory ? ", reads host memory" : "")}");
        }
        if (report.Gpus.IsEmpty) Add("GPU", "none that the engine sees");
        Add("CPU", $"{report.Processor.Cores} cores, {report.Processor.Threads} threads, {report.Processor.Architecture}");
        Add("RAM", $"{ByteSize.Format(report.Machine.HostFreeBytes)} free of {ByteSize.Format(report.TotalHostBytes)}{(report.Group is { } group ? $"; control group (v{group.Version}): {ByteSize.Format(group.FreeBytes)} free of {ByteSize.Format(group.LimitBytes)}" : "")}");
        Add("lockable", report.PinnableBytes is { } pinnable ? $"{ByteSize.Format(pinnable)} (NVIDIA's driver pins beyond this limit)" : "as much as is free");
        foreach (DiskReport disk in report.Disks)
            Add("disk", disk.MountedAt is null ? $"{disk.Path}: none known" : $"{disk.Path}: {ByteSize.Format(disk.FreeBytes)} free, {disk.FileSystem} at {disk.MountedAt}");
        Add("engine", report.Engine.Folder is { } folder ? $"llama.cpp {report.Engine.Version} in {folder}" : "none");
        foreach (string backend in report.Engine.Backends) Add("", backend);
        if (report.Engine.Folder is not null) Add("", $"backend libraries: {string.Join(", ", report.Engine.Libraries)}");
        Add("streaming", report.Engine.Streams ? "the plug-in is there" : "not without the plug-in");
        console.Write(facts);
        if (report.Machine.Speeds is { } speeds) PrintSpeeds(speeds, report, console);
        else console.MarkupLine("speeds: not measured; [bold]nbm doctor --calibrate[/] does it in under 20 s, and plans then say what to expect of this machine");
        foreach (string problem in report.Engine.Problems) console.MarkupLineInterpolated($"[yellow]problem:[/] {problem}");

        void Add(string name, string value) => facts.AddRow(Markup.Escape(name), Markup.Escape(value));
    }

    public static object ToJson(MachineReport report) => new
    {
        report.Gpus,
        report.Processor,
        Ram = new { FreeBytes = report.Machine.HostFreeBytes, TotalBytes = report.TotalHostBytes, Group = report.Group, LockableBytes = report.PinnableBytes },
        report.Disks,
        report.Engine,
        Speeds = report.Machine.Speeds is { } speeds ? Speeds(speeds) : null,
        report.SpeedsFile,
    };

    private static object Speeds(MachineSpeeds speeds) => new
    {
        Gpus = speeds.Gpus.Select(gpu => new { gpu.Name, gpu.ToDevice, gpu.FromDevice, gpu.ToDeviceTogether, gpu.CrossingSeconds, Matrices = Matrices(gpu.Matrices) }),
        Cpu = Matrices(speeds.Cpu),
        CpuOwnLayouts = speeds.CpuOwnLayouts is { } own ? Matrices(own) : null,
        speeds.Threads,
        speeds.ThreadsBesideLink,
        speeds.CpuBesideLink,
        speeds.CpuUnpackingBesideLink,
        speeds.LinkBesideCpu,
        speeds.DiskBytesPerSecond,
    };

    private static object Matrices(MatrixSpeeds matrices) => new
    {
        Types = matrices.Types.Select(type => new { Type = type.Type.ToString(), type.BytesPerSecond, type.FlopsPerSecond, type.StartSeconds, type.PromptStartSeconds }),
        matrices.ExpertShare, matrices.PromptExpertShare, matrices.FewPromptExpertShare, matrices.AttentionFlopsPerSecond, matrices.LayerSeconds, matrices.PromptLayerSeconds,
        matrices.MixtureSeconds, matrices.PassSeconds, matrices.PromptPassSeconds,
    };

    private static void PrintSpeeds(MachineSpeeds speeds, MachineReport report, IAnsiConsole console)
    {
        Table table = new Table().Border(TableBorder.Rounded).AddColumn(new TableColumn("measured").NoWrap());
        foreach (MatrixSpeed type in speeds.Cpu.Types) table.AddColumn(new TableColumn($"{type.Type}").RightAligned().NoWrap());
        foreach (string more in (string[])["experts", "a layer", "a pass"]) table.AddColumn(new TableColumn(more).RightAligned().NoWrap());
        Rows("CPU", speeds.Cpu);
        if (speeds.CpuOwnLayouts is { } own && own != speeds.Cpu) Rows("CPU, own layouts", own);
        foreach (GpuSpeeds gpu in speeds.Gpus) Rows(gpu.Name, gpu.Matrices);
        console.Write(table);
        foreach (GpuSpeeds gpu in speeds.Gpus) console.MarkupLineInterpolated($"{gpu.Name}: {gpu.ToDevice / 1e9:0.0} GB/s to it, {gpu.FromDevice / 1e9:0.0} GB/s from it, pinned{(gpu.ToDeviceTogether is { } together ? $"; {together / 1e9:0.0} GB/s to it while all GPUs are fed" : "")}{(gpu.CrossingSeconds is { } crossing ? $"; to the CPU and back in {crossing * 1e6:0} us" : "")}");
        if (speeds.Gpus.Select(gpu => gpu.Matrices).Append(speeds.Cpu).Any(matrices => matrices.MixtureSeconds > 0))
            console.MarkupLineInterpolated($"a token's experts take {Micro(speeds.Cpu.MixtureSeconds)} more in a layer on the CPU{string.Concat(speeds.Gpus.Select(gpu => $", {Micro(gpu.Matrices.MixtureSeconds)} on {gpu.Name}"))}");
        if (speeds.Threads is { } threads) console.MarkupLineInterpolated($"threads: {threads} on the CPU alone{(speeds.ThreadsBesideLink is { } beside ? $", {beside} beside a link" : "")}");
        if (speeds.Gpus.Length > 0) console.MarkupLineInterpolated($"at once: the link keeps {speeds.LinkBesideCpu:P0} of its speed, the CPU {speeds.CpuBesideLink:P0} of its own with F16{(speeds.CpuUnpackingBesideLink is { } unpacking ? $", {unpacking:P0} with Q4_0" : "")}");
        console.MarkupLineInterpolated($"disk: {speeds.DiskBytesPerSecond / 1e9:0.00} GB/s, read directly");
        if (report.SpeedsFile is { } file) console.MarkupLineInterpolated($"kept in {file}");

        void Rows(string name, MatrixSpeeds matrices)
        {
            table.AddRow([$"{name}: weights, GB/s", .. Each(matrices, type => Digits(type.BytesPerSecond / 1e9)), $"{matrices.ExpertShare:P0}", Micro(matrices.LayerSeconds), Micro(matrices.PassSeconds)]);
            table.AddRow([$"{name}: prompts, Tflop/s", .. Each(matrices, type => Digits(type.FlopsPerSecond / 1e12)), matrices.PromptExpertShare is { } share ? $"{share:P0}{(matrices.FewPromptExpertShare is { } few ? $", {few:P0}" : "")}" : "", Micro(matrices.PromptLayerSeconds), Micro(matrices.PromptPassSeconds)]);
        }
        static string Digits(double value) => value.ToString(value >= 100 ? "0" : value >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture);
        static string Micro(double? seconds) => seconds is { } one ? $"{one * 1e6:0} us" : "";
        IEnumerable<string> Each(MatrixSpeeds matrices, Func<MatrixSpeed, string> show) =>
            speeds.Cpu.Types.Select(column => matrices.Types.FirstOrDefault(type => type.Type == column.Type) is { } type ? show(type) : "-");
    }
}
