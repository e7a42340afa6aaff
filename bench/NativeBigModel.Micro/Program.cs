using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using NativeBigModel.Micro;

// In this process: what is measured takes microseconds and more, and a build of its own for each benchmark would take minutes.
Job job = (args.Contains("--short") ? Job.ShortRun : Job.Default).WithToolchain(InProcessEmitToolchain.Instance);
IConfig config = ManualConfig.Create(DefaultConfig.Instance).AddJob(job).WithArtifactsPath(Path.Combine(Path.GetTempPath(), "nbm-micro"));
string[] rest = [.. args.Where(argument => argument != "--short")];
BenchmarkSwitcher.FromAssembly(typeof(Files).Assembly).Run(rest.Length > 0 ? rest : ["--filter", "*"], config);
