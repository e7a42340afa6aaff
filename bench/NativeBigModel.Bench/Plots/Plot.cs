using System.Globalization;
using System.Xml.Linq;
using NativeBigModel.Bench.Results;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench.Plots;

/// <summary>Pictures of a result file: one figure of one model against the budget, seconds on a logarithmic scale, every contender named where its line ends; or bars where there are no budgets.</summary>
internal static class Plot
{
    private const double Width = 720, Left = 62, Right = 196, Top = 66, LineHeight = 340, Bottom = 50, BarHeight = 26, Row = 14;

    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    // One hue a family of contenders, on light and on dark ground; within a family the markers differ.
    private static readonly string[] s_light = ["#1a66d6", "#c2570c", "#7a3fc4", "#4d7a1e", "#a8326e"], s_dark = ["#6aa9ff", "#f0954d", "#b893f5", "#95c45c", "#e57fb2"];

    private sealed record Point(double Budget, Repeated Seconds);

    private sealed record Series(string Name, int Family, int Member, IReadOnlyList<Point> Points)
    {
        /// <summary>Whether it knows no budget, and is a level across the picture.</summary>
        public bool IsLevel => Points.All(point => point.Budget == 0);
    }

    /// <summary>The picture of a figure.</summary>
    /// <param name="file">The results.</param>
    /// <param name="model">Which model; null where there is one only.</param>
    /// <param name="figure">Which figure.</param>
    /// <exception cref="InvalidOptionException">There is nothing to draw, or several models; the message lists them.</exception>
    public static XDocument Draw(ResultFile file, string? model, Figure figure)
    {
        Measurement[] rows = [.. file.Rows.Where(row => figure.Of(row) is not null)];
        string[] models = [.. rows.Select(row => row.Model).Distinct()];
        if (model is null && models.Length > 1) throw new InvalidOptionException($"--model: one of {string.Join(", ", models)}");
        rows = [.. rows.Where(row => row.Model == (model ?? row.Model))];
        if (rows.Length == 0) throw new InvalidOptionException($"no row of {model ?? "the file"} has {figure.Title}; there are rows of {string.Join(", ", file.Rows.Select(row => row.Model).Distinct())}");
        string place = file.Head.Any(line => line.Contains("no GPU", StringComparison.Ordinal)) ? "RAM" : "GPU memory";
        bool lines = rows.Any(row => row.BudgetBytes > 0);
        string title = $"{rows[0].Model}, {ByteSize.Format(rows[0].WeightBytes)} of weights: {figure.Title}{(lines ? $" by {place}" : "")}";
        string below = file.Head.FirstOrDefault(line => line.StartsWith("machine: ", StringComparison.Ordinal))?["machine: ".Length..] ?? "";
        List<XElement> body = lines ? Lines(rows, figure, place) : Bars(rows, figure);
        double height = lines ? Top + LineHeight + Bottom : Top + BarHeight * rows.Select(row => row.Contender).Distinct().Count() + 16;
        return new(new XElement(s_svg + "svg",
            new XAttribute("viewBox", Inv($"0 0 {Width} {height}")), new XAttribute("width", Width), new XAttribute("height", Inv($"{height}")), new XAttribute("role", "img"),
            new XElement(s_svg + "title", title),
            new XElement(s_svg + "style", Style()),
            Box(0, 0, Width, height, "ground"),
            Text(16, 26, title, "title"), Text(16, 45, below.Length > 105 ? below[..104] + "…" : below, "muted"),
            body));
    }

    private static List<XElement> Lines(Measurement[] rows, Figure figure, string place)
    {
        List<Series> series = Group(rows, figure);
        Point[] bound = [.. rows.Where(row => row.BudgetBytes > 0 && figure.Bound(row) is > 0).GroupBy(row => row.BudgetBytes)
            .Select(group => new Point(GiB(group.Key), Repeated.Of(group.Select(figure.Bound))!)).OrderBy(point => point.Budget)];
        double[] budgets = [.. series.SelectMany(one => one.Points).Select(point => point.Budget).Where(budget => budget > 0).Distinct().Order()];
        IEnumerable<Repeated> all = series.SelectMany(one => one.Points).Concat(bound).Select(point => point.Seconds);
        double least = Math.Log10(all.Min(spread => spread.Least)) - 0.08, most = Math.Log10(all.Max(spread => spread.Most)) + 0.08;
        double right = Width - Right, bottom = Top + LineHeight;
        double X(double budget) => budgets.Length == 1 ? (Left + right) / 2 : Left + 14 + (budget - budgets[0]) / (budgets[^1] - budgets[0]) * (right - Left - 28);
        double Y(double seconds) => bottom - (Math.Log10(seconds) - least) / (most - least) * LineHeight;
        List<XElement> drawn = [];
        foreach (double tick in Ticks(least, most))
        {
            drawn.Add(Line(Left, Y(tick), right, Y(tick), "grid"));
            drawn.Add(Text(Left - 8, Y(tick) + 4, Number(tick), "muted end"));
        }
        foreach (double budget in budgets) drawn.Add(Text(X(budget), bottom + 20, Number(budget), "muted middle"));
        drawn.Add(Text((Left + right) / 2, bottom + 40, $"GiB of {place}; lower is better, logarithmic scale", "muted middle"));
        List<(double Y, double From, string Name, string Class)> labels = [];
        if (bound.Length > 0)
        {
            drawn.Add(Path(bound.Select(point => (X(point.Budget), Y(point.Seconds.Median))), "bound"));
            labels.Add((Y(bound[^1].Seconds.Median), X(bound[^1].Budget), "the machine's bound", "muted"));
        }
        foreach (Series one in series)
        {
            if (one.IsLevel)
            {
                double y = Y(one.Points[0].Seconds.Median);
                drawn.Add(Line(Left, y, right, y, $"level f{one.Family}"));
                labels.Add((y, right, one.Name, "label"));
                continue;
            }
            drawn.Add(Path(one.Points.Select(point => (X(point.Budget), Y(point.Seconds.Median))), $"line f{one.Family}{(one.Member > 0 ? $" m{Math.Min(one.Member, 3)}" : "")}"));
            foreach (Point point in one.Points)
            {
                (double x, double y) = (X(point.Budget), Y(point.Seconds.Median));
                if (point.Seconds.Count > 1) drawn.Add(Line(x, Y(point.Seconds.Least), x, Y(point.Seconds.Most), $"line f{one.Family}"));
                drawn.Add(new(s_svg + "circle", At("cx", x), At("cy", y), At("r", 4), new XAttribute("class", one.Member == 0 ? $"dot d{one.Family}" : $"hollow f{one.Family}"),
                    new XElement(s_svg + "title", $"{one.Name}, {Number(point.Budget)} GiB: {Number(point.Seconds.Median)} s")));
            }
            labels.Add((Y(one.Points[^1].Seconds.Median), X(one.Points[^1].Budget), one.Name, one.Family == 0 ? "label strong" : "label"));
        }
        drawn.AddRange(Labels(labels, right + 18, Top, bottom));
        return drawn;
    }

    private static List<XElement> Bars(Measurement[] rows, Figure figure)
    {
        List<Series> series = Group(rows, figure);
        double most = series.Max(one => one.Points[0].Seconds.Median), start = Left + 130, length = Width - start - 90, y = Top;
        List<XElement> drawn = [];
        foreach (Series one in series)
        {
            double width = one.Points[0].Seconds.Median / most * length;
            drawn.Add(Text(start - 8, y + 15, one.Name, "label end"));
            drawn.Add(Box(start, y + 3, Math.Max(1, width), BarHeight - 10, $"d{one.Family}"));
            drawn.Add(Text(start + width + 6, y + 15, $"{Number(one.Points[0].Seconds.Median)} s", "label"));
            y += BarHeight;
        }
        return drawn;
    }

    private static List<Series> Group(Measurement[] rows, Figure figure)
    {
        List<string> families = [];
        List<Series> series = [];
        foreach (IGrouping<string, Measurement> one in rows.GroupBy(row => row.Contender))
        {
            string family = one.Key.Split(' ')[0];
            if (!families.Contains(family)) families.Add(family);
            Point[] points = [.. one.GroupBy(row => row.BudgetBytes).Select(group => new Point(GiB(group.Key), Repeated.Of(group.Select(figure.Of))!)).OrderBy(point => point.Budget)];
            series.Add(new(one.Key, families.IndexOf(family) % s_light.Length, series.Count(other => other.Name.Split(' ')[0] == family), points));
        }
        return series;
    }

    // Names beside the ends of their lines, pushed apart where they would lie on each other.
    private static IEnumerable<XElement> Labels(List<(double Y, double From, string Name, string Class)> labels, double x, double top, double bottom)
    {
        labels = [.. labels.OrderBy(label => label.Y)];
        double[] places = [.. labels.Select(label => label.Y)];
        for (int pass = 0; pass < 200; pass++)
        {
            for (int i = 1; i < places.Length; i++)
            {
                double lacking = Row - (places[i] - places[i - 1]);
                if (lacking <= 0) continue;
                places[i - 1] -= lacking / 2;
                places[i] += lacking / 2;
            }
            for (int i = 0; i < places.Length; i++) places[i] = Math.Clamp(places[i], top + i * Row - 0.01, bottom - (places.Length - 1 - i) * Row + 0.01);
        }
        for (int i = 0; i < labels.Count; i++)
        {
            yield return Line(labels[i].From + 6, labels[i].Y, x - 4, places[i], "leader");
            yield return Text(x, places[i] + 4, labels[i].Name, labels[i].Class);
        }
    }

    private static IEnumerable<double> Ticks(double least, double most)
    {
        double[] steps = most - least > 2.2 ? [1] : [1, 2, 5];
        for (int power = (int)Math.Floor(least); power <= most; power++)
        {
            foreach (double step in steps)
            {
                double tick = step * Math.Pow(10, power);
                if (Math.Log10(tick) >= least && Math.Log10(tick) <= most) yield return tick;
            }
        }
    }

    private static string Style()
    {
        string Colours(string ground, string ink, string muted, string grid, string[] hues) =>
            $".ground{{fill:{ground}}}.title,.label{{fill:{ink}}}.muted{{fill:{muted}}}.grid,.leader{{stroke:{grid}}}.bound{{stroke:{muted}}}.hollow{{fill:{ground}}}"
            + string.Concat(hues.Select((hue, i) => $".f{i}{{stroke:{hue}}}.d{i}{{fill:{hue}}}"));
        return "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif}.title{font-size:15px;font-weight:600}.strong{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}"
            + ".grid,.leader{stroke-width:1}.line{fill:none;stroke-width:2}.level{stroke-width:1.5;stroke-dasharray:2 3}.bound{fill:none;stroke-width:1.5;stroke-dasharray:7 4}.m1{stroke-dasharray:9 3}.m2{stroke-dasharray:4 3}.m3{stroke-dasharray:1 3}.hollow{stroke-width:2}"
            + Colours("#ffffff", "#1f2328", "#59636e", "#dfe3e8", s_light) + "@media (prefers-color-scheme:dark){" + Colours("#0d1117", "#e6edf3", "#9198a1", "#2b323b", s_dark) + "}";
    }

    private static double GiB(long bytes) => bytes / (double)(1L << 30);

    private static string Number(double value) => value.ToString(value < 0.1 ? "0.###" : "0.##", CultureInfo.InvariantCulture);

    private static string Inv(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static XAttribute At(string name, double value) => new(name, Math.Round(value, 1).ToString(CultureInfo.InvariantCulture));

    private static XElement Text(double x, double y, string text, string kind) => new(s_svg + "text", At("x", x), At("y", y), new XAttribute("class", kind), text);

    private static XElement Line(double x1, double y1, double x2, double y2, string kind) => new(s_svg + "line", At("x1", x1), At("y1", y1), At("x2", x2), At("y2", y2), new XAttribute("class", kind));

    private static XElement Box(double x, double y, double width, double height, string kind) => new(s_svg + "rect", At("x", x), At("y", y), At("width", width), At("height", height), new XAttribute("class", kind));

    private static XElement Path(IEnumerable<(double X, double Y)> points, string kind) => new(s_svg + "polyline", new XAttribute("points", string.Join(' ', points.Select(point => Inv($"{point.X:0.0},{point.Y:0.0}")))), new XAttribute("class", kind));
}
