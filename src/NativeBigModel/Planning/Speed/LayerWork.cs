namespace NativeBigModel.Planning;

/// <summary>What one item of a plan asks of the device that computes it.</summary>
/// <param name="Matrices">Bytes and elements by type; of a mixture's experts, all of them.</param>
/// <param name="Layer">Whether it is a layer, or has one's attention: what takes time beside reading weights.</param>
/// <param name="Rooms">Bytes that each of its matrices takes of a ring, with a bias that it has.</param>
internal sealed record LayerWork(IReadOnlyList<LayerWork.Weights> Matrices, bool Layer, IReadOnlyList<long> Rooms)
{
    public sealed record Weights(TensorType Type, bool Experts, int Count, long Bytes, long Elements);

    /// <summary>The work of a model's items, by their names in a plan.</summary>
    public static Dictionary<string, LayerWork> Of(ModelShape model, bool split)
    {
        var work = model.Tensors.GroupBy(tensor => ItemName.Of(tensor, split)).ToDictionary(item => item.Key, item => new LayerWork(
            [.. item.GroupBy(tensor => (tensor.Type, FeedForwardPart.IsOfExperts(tensor))).Select(group => new Weights(group.Key.Type, group.Key.Item2, group.Count(tensor => tensor.Dimensions.Length > 1), group.Sum(tensor => tensor.Bytes), group.Sum(tensor => tensor.Elements)))],
            item.Key.StartsWith("blk.", StringComparison.Ordinal) && !FeedForwardPart.Is(item.Key), [.. item.GroupBy(FeedForwardPart.MatrixOf).Select(RingSize.Of)]));
        // Layers that are alike have one, so that what it takes is computed once.
        var distinct = new HashSet<LayerWork>();
        foreach ((string name, LayerWork one) in work.ToArray())
        {
            if (!distinct.Add(one) && distinct.TryGetValue(one, out LayerWork? alike)) work[name] = alike;
        }
        // With tied weights the output projection multiplies by the embedding.
        TensorSpec? embedding = model.Tensors.FirstOrDefault(tensor => tensor.Name == "token_embd.weight");
        if (embedding is not null && !model.Tensors.Any(tensor => tensor.Name == "output.weight"))
        {
            LayerWork output = work.GetValueOrDefault(Item.Output) ?? new([], false, []);
            work[Item.Output] = output with { Matrices = [.. output.Matrices, new(embedding.Type, false, 1, embedding.Bytes, embedding.Elements)] };
        }
        return work;
    }

    public bool Equals(LayerWork? other) => ReferenceEquals(this, other) || (other is not null && Layer == other.Layer && Matrices.SequenceEqual(other.Matrices) && Rooms.SequenceEqual(other.Rooms));

    public override int GetHashCode() => HashCode.Combine(Layer, Matrices.Count, Matrices.Count > 0 ? Matrices[0].Bytes : 0);

    /// <summary>Whether some of it is a mixture's experts.</summary>
    public bool HasExperts => Matrices.Any(weights => weights.Experts);

    /// <summary>The work without a mixture's experts.</summary>
    public LayerWork WithoutExperts => this with { Matrices = [.. Matrices.Where(weights => !weights.Experts)] };

    /// <summary>Bytes of what a batch of tokens multiplies by.</summary>
    /// <param name="expertsTouched">The share of a mixture's experts that these tokens need.</param>
    public double Bytes(double expertsTouched) => Matrices.Sum(weights => weights.Bytes * (weights.Experts ? expertsTouched : 1));

    /// <summary>Seconds in which a GPU computes some of a mixture's experts for one token, reading them over its link.</summary>
    /// <param name="speeds">The GPU's.</param>
    /// <param name="share">The share of all experts that it computes.</param>
    /// <param name="bytesPerSecond">What it reads over the link.</param>
    public double LinkedSeconds(MatrixSpeeds speeds, double share, double bytesPerSecond) =>
        Matrices.Where(weights => weights.Experts).Sum(weights => weights.Count * speeds.Of(weights.Type).StartSeconds + weights.Bytes * share / bytesPerSecond);

    /// <summary>Seconds for a batch of tokens on a device with these speeds, without reading keys and values.</summary>
    /// <param name="speeds">The device's.</param>
    /// <param name="tokens">Tokens that are computed together.</param>
    /// <param name="expertsTouched">The share of a mixture's experts that these tokens need.</param>
    /// <param name="expertsUsed">The share that one token needs.</param>
    /// <param name="readsMeanwhile">Whether it reads weights while it multiplies by others, as a GPU does; the cores of a CPU wait for what they multiply by.</param>
    public double Seconds(MatrixSpeeds speeds, int tokens, double expertsTouched, double expertsUsed, bool readsMeanwhile) =>
        (Layer ? speeds.Layer(tokens) : 0) + (HasExperts ? speeds.MixtureSeconds : 0) + MatrixSeconds(speeds, tokens, expertsTouched, expertsUsed, readsMeanwhile);

    /// <summary>The same of its matrices alone.</summary>
    /// <inheritdoc cref="Seconds"/>
    public double MatrixSeconds(MatrixSpeeds speeds, int tokens, double expertsTouched, double expertsUsed, bool readsMeanwhile)
    {
        double seconds = 0;
        foreach (Weights weights in Matrices)
        {
            MatrixSpeed speed = speeds.Of(weights.Type);
            double readShare = weights.Experts ? speeds.ExpertShare : 1, promptShare = weights.Experts ? speeds.PromptExperts(tokens, tokens * expertsUsed / expertsTouched) : 1;
            double reading = weights.Count * speed.StartSeconds + weights.Bytes * (weights.Experts ? expertsTouched : 1) / speed.BytesPerSecond;
            double multiplying = tokens == 1 ? 0 : weights.Count * speed.PromptStartSeconds + 2.0 * tokens * weights.Elements * (weights.Experts ? expertsUsed : 1) / speed.FlopsPerSecond;
            (reading, multiplying) = (reading / readShare, multiplying / promptShare);
            seconds += readsMeanwhile ? Math.Max(reading, multiplying) : reading + multiplying;
        }
        return seconds;
    }
}
