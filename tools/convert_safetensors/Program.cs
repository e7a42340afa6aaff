using NativeBigModel;

if (args.Length is not (2 or 3) || args.Any(argument => argument is "-h" or "--help"))
{
    Console.Error.WriteLine("usage: convert_safetensors DIR OUT.gguf [TYPE]    TYPE: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, ...; as stored unless given");
    return 2;
}
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, press) =>
{
    press.Cancel = true;
    stop.Cancel();
};
try
{
    WeightType type = args.Length == 3 ? WeightTypes.Parse(args[2]) : WeightType.AsStored;
    ConversionResult result = await GgufConverter.ConvertAsync(Checkpoint.Open(args[0]), args[1], type, cancel: stop.Token).ConfigureAwait(false);
    Console.Out.WriteLine($"{result.Path}: {result.Tensors.Count} tensors, {result.Bytes} bytes, {result.Elapsed.TotalSeconds:0.0} s");
    return 0;
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("error: cancelled");
    return 130;
}
catch (Exception error) when (error is BigModelException or IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"error: {error.Message}");
    return error switch { InvalidOptionException => 2, EngineException => 5, _ => 3 };
}
