using System.Runtime.ExceptionServices;

namespace NativeBigModel.Server;

/// <summary>The answers to one request.</summary>
internal static class Choices
{
    /// <summary>Makes all of them at once, each as soon as its turn comes. The first that fails ends the others, and its error is thrown.</summary>
    public static async Task RunAsync(int count, Places.Ticket ticket, Func<int, CancellationToken, Task> make, CancellationToken cancel)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        ExceptionDispatchInfo? first = null;
        await Task.WhenAll(Enumerable.Range(0, count).Select(OneAsync)).ConfigureAwait(false);
        first?.Throw();

        async Task OneAsync(int index)
        {
            try
            {
                using IDisposable turn = await ticket.TurnAsync(stop.Token).ConfigureAwait(false);
                await make(index, stop.Token).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref first, ExceptionDispatchInfo.Capture(error), null);
                await stop.CancelAsync().ConfigureAwait(false);
            }
        }
    }
}
