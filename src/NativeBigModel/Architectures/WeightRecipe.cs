using System.Globalization;
using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>Where a tensor is made: the model, one of its layers, and one expert of it where experts are stacked.</summary>
internal readonly record struct Place(ModelShape Model, int LayerIndex, ConfigReader Config, int Expert = 0)
{
    public LayerShape Layer => Model.Layers[LayerIndex];

    /// <summary>A name with the layer's number for <c>{}</c> and the expert's for <c>{e}</c>.</summary>
    public string Fill(string pattern) => pattern
        .Replace("{}", LayerIndex.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
        .Replace("{e}", Expert.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);
}

/// <summary>
/// How one of llama.cpp's tensors is composed of a checkpoint's weights, as data: a weight's name alone, or what is done to others, applied from the inside out.
/// The extents of the tensor are given from the outside in, so that every weight's shape is known and checked whether or not its data is there.
/// </summary>
internal abstract record WeightRecipe
{
    /// <summary>The weight of that name as it is.</summary>
    public static implicit operator WeightRecipe(string name) => new NamedWeight(name);

    /// <summary>One value everywhere.</summary>
    public static WeightRecipe Constant(float value) => new Uniform(value);

    /// <summary>Matrices of <paramref name="rows"/> rows each, or vectors of as many elements, one after the other.</summary>
    public static WeightRecipe Joined(Func<Place, long> rows, params WeightRecipe[] parts) => new Sequence(parts, rows);

    /// <summary>The rows in another order, the same in each matrix.</summary>
    public WeightRecipe Rows(Func<Place, RowMap> order) => new Picked(this, order, null);

    /// <summary>Some rows of matrices of <paramref name="total"/> rows.</summary>
    public WeightRecipe Rows(Func<Place, RowMap> order, Func<Place, long> total) => new Picked(this, order, total);

    /// <summary>Some elements of rows of <paramref name="total"/> elements.</summary>
    public WeightRecipe Columns(Func<Place, RowMap> order, Func<Place, long> total) => new PickedElements(this, order, total);

    /// <summary>Each matrix transposed.</summary>
    public WeightRecipe Transposed() => new Turned(this);

    /// <summary>One for each expert, whose number stands for <c>{e}</c>, stacked.</summary>
    public WeightRecipe OfExperts() => new Experts(this);

    public WeightRecipe Times(Func<Place, float> factor) => new Scaled(this, factor);

    public WeightRecipe Plus(float term) => new Computed(this, _ => ComputedSource.Plus(term));

    /// <summary>Each row divided by its length.</summary>
    public WeightRecipe WithUnitRows() => new UnitRows(this);

    /// <summary>Every value through a function.</summary>
    public WeightRecipe Through(ComputedSource.Function function) => new Computed(this, _ => function);

    /// <summary>The names of the weights it reads, with their holes.</summary>
    public abstract IEnumerable<string> Patterns { get; }

    /// <summary>The rows of a tensor with these extents, innermost first.</summary>
    /// <exception cref="CheckpointException">A weight is missing or has another shape.</exception>
    public abstract TensorSource Open(WeightReader weights, Place place, long[] dimensions);

    /// <summary>The weight, and its rows, of which <paramref name="source"/> was made; null where a tensor does not tell.</summary>
    /// <param name="source">The rows of the tensor.</param>
    /// <param name="place">Where it is.</param>
    /// <param name="dimensions">Its extents, innermost first.</param>
    public virtual (string Name, TensorSource Source)? Invert(TensorSource source, Place place, long[] dimensions) => null;

    private sealed record NamedWeight(string Name) : WeightRecipe
    {
        public override (string Name, TensorSource Source)? Invert(TensorSource source, Place place, long[] dimensions) => (place.Fill(Name), source);

        public override IEnumerable<string> Patterns => [Name];

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions) => weights.Read(place.Fill(Name), dimensions);
    }

    private sealed record Uniform(float Value) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => [];

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions) =>
            new UniformSource(Value, dimensions.Skip(1).Aggregate(1L, (product, extent) => product * extent), dimensions[0]);
    }

    private sealed record Picked(WeightRecipe Inner, Func<Place, RowMap> Order, Func<Place, long>? Total) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Inner.Patterns;

        // Rows in another order, all of them, go back.
        public override (string Name, TensorSource Source)? Invert(TensorSource source, Place place, long[] dimensions)
        {
            if (Total is not null || dimensions.Length > 2) return null;
            TensorSource inner = dimensions.Length == 1 ? source.AsColumn() : source;
            RowMap order = Order(place);
            var from = new long[inner.Rows];
            for (long row = 0; row < from.Length; row++) from[order(row)] = row;
            return Inner.Invert(new PickedRows(inner, inner.Rows, row => from[row]), place, dimensions);
        }

        // A vector's rows are its elements.
        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions)
        {
            bool vector = dimensions.Length == 1;
            long rows = vector ? dimensions[0] : dimensions[1], total = Total?.Invoke(place) ?? rows;
            TensorSource inner = Inner.Open(weights, place, vector ? [total] : [dimensions[0], total, .. dimensions.Skip(2)]);
            if (vector) inner = inner.AsColumn();
            RowMap order = Order(place);
            return new PickedRows(inner, inner.Rows / total * rows, row => row / rows * total + order(row % rows));
        }
    }

    private sealed record PickedElements(WeightRecipe Inner, Func<Place, RowMap> Order, Func<Place, long> Total) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Inner.Patterns;

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions)
        {
            long columns = dimensions[0], total = Total(place);
            TensorSource inner = Inner.Open(weights, place, [total, .. dimensions.Skip(1)]).AsColumn();
            RowMap order = Order(place);
            return new PickedRows(inner, inner.Rows / total * columns, element => element / columns * total + order(element % columns));
        }
    }

    private sealed record Turned(WeightRecipe Inner) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Inner.Patterns;

        // A quantised weight may stand this way already.
        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions) => Inner is NamedWeight named && weights.StandsTransposed(place.Fill(named.Name))
            ? named.Open(weights, place, dimensions)
            : new TransposedSource(Inner.Open(weights, place, [dimensions[1], dimensions[0], .. dimensions.Skip(2)]), dimensions[0]);
    }

    private sealed record Experts(WeightRecipe Inner) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Inner.Patterns;

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions)
        {
            TensorSource[] parts = [.. Enumerable.Range(0, (int)dimensions[^1]).Select(expert => Inner.Open(weights, place with { Expert = expert }, dimensions[..^1]))];
            return Stack(parts);
        }
    }

    private sealed record Sequence(IReadOnlyList<WeightRecipe> Parts, Func<Place, long> Length) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Parts.SelectMany(part => part.Patterns);

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions)
        {
            bool vector = dimensions.Length == 1;
            long[] each = vector ? [Length(place)] : [dimensions[0], Length(place)];
            return Stack([.. Parts.Select(part => part.Open(weights, place, each)).Select(part => vector ? part.AsColumn() : part)]);
        }
    }

    // Parts that are stored in several types meet in F32.
    private static StackedSource Stack(TensorSource[] parts) =>
        new(parts.All(part => part.Type == parts[0].Type) ? parts : [.. parts.Select(part => new ComputedSource(part, ComputedSource.Nothing))]);

    private sealed record Scaled(WeightRecipe Inner, Func<Place, float> Factor) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Inner.Patterns;

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions)
        {
            TensorSource inner = Inner.Open(weights, place, dimensions);
            return Factor(place) is var factor and not 1 ? new ComputedSource(inner, ComputedSource.Times(factor)) : inner;
        }
    }

    private sealed record UnitRows(WeightRecipe Inner) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Inner.Patterns;

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions) =>
            new ComputedSource(Inner.Open(weights, place, dimensions), ComputedSource.UnitRows(checked((int)dimensions[0])));
    }

    private sealed record Computed(WeightRecipe Inner, Func<Place, ComputedSource.Function> Function) : WeightRecipe
    {
        public override IEnumerable<string> Patterns => Inner.Patterns;

        public override TensorSource Open(WeightReader weights, Place place, long[] dimensions) =>
            new ComputedSource(Inner.Open(weights, place, dimensions), Function(place));
    }
}
