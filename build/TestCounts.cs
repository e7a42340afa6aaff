using System.Globalization;
using System.Xml.Linq;

namespace NativeBigModel.Build;

/// <summary>What the tests came to, over all result files of one run.</summary>
internal readonly record struct TestCounts(int Passed, int Failed, int Skipped)
{
    /// <summary>Sums the trx files in <paramref name="folder"/>. Whatever ran and did not pass (error, timeout, abort) has failed.</summary>
    public static TestCounts Read(string folder)
    {
        int passed = 0, executed = 0, total = 0;
        foreach (string file in Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.trx", SearchOption.AllDirectories) : [])
        {
            foreach (XElement counters in XDocument.Load(file).Descendants().Where(static e => e.Name.LocalName == "Counters"))
            {
                int Count(string name) => int.Parse(counters.Attribute(name)?.Value ?? "0", CultureInfo.InvariantCulture);
                passed += Count("passed");
                executed += Count("executed");
                total += Count("total");
            }
        }
        return new TestCounts(passed, executed - passed, total - executed);
    }

    public static TestCounts operator +(TestCounts one, TestCounts other) => new(one.Passed + other.Passed, one.Failed + other.Failed, one.Skipped + other.Skipped);

    public override string ToString() => $"{Passed} passed, {Failed} failed" + (Skipped > 0 ? $", {Skipped} skipped" : "");
}
