using NativeBigModel.Build;

namespace NativeBigModel.Tests.Build;

public class TurnTests
{
    [Fact]
    public async Task The_second_build_waits_for_the_first_and_then_goes_on()
    {
        using var folder = new TempFolder();
        string file = folder["new/.lock"];
        IDisposable first = Turn.Wait(file);
        Task<IDisposable> second = Task.Run(() => Turn.Wait(file));
        await Task.Delay(500);
        Assert.False(second.IsCompleted);
        first.Dispose();
        (await second.WaitAsync(TimeSpan.FromSeconds(30))).Dispose();
        Turn.Wait(file).Dispose();
    }
}
