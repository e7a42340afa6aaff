using System.Diagnostics;
using System.Threading.Channels;
using Microsoft.AspNetCore.Http;

namespace NativeBigModel.Server;

/// <summary>Who may come in: as many answers as the plan computes together are at work, and so many more may wait, first come first served. Thread-safe.</summary>
internal sealed class Places
{
    private const int LongestRetry = 60;

    private readonly int _sessions;
    private readonly int _queue;

    // What is in it are turns that nobody has.
    private readonly Channel<int> _turns = Channel.CreateUnbounded<int>();
    private readonly Lock _gate = new();
    private int _inside;
    private double _turnSeconds = 1;

    /// <param name="sessions">Answers that the plan computes together.</param>
    /// <param name="queue">Answers that may wait.</param>
    public Places(int sessions, int queue)
    {
        (_sessions, _queue) = (sessions, queue);
        for (int turn = 0; turn < sessions; turn++) _turns.Writer.TryWrite(turn);
    }

    /// <summary>Answers at work.</summary>
    public int Active => _sessions - _turns.Reader.Count;

    /// <summary>Answers that wait.</summary>
    public int Queued => Math.Max(0, Volatile.Read(ref _inside) - Active);

    /// <summary>Takes places for the answers of a request.</summary>
    /// <exception cref="ApiException">There are not so many: come back later.</exception>
    public Ticket Enter(int answers)
    {
        lock (_gate)
        {
            // Nobody inside: a request for more than there are places would never have them.
            if (_inside > 0 && _inside + answers > _sessions + _queue)
            {
                throw new ApiException(StatusCodes.Status429TooManyRequests, $"{_sessions} answers are computed together and {_queue} may wait; all of these places are taken", code: "rate_limit_exceeded", type: "rate_limit_error")
                {
                    RetryAfter = (int)Math.Clamp(Math.Ceiling(_turnSeconds / _sessions), 1, LongestRetry),
                };
            }
            _inside += answers;
            return new(this, answers);
        }
    }

    private void Leave(int answers)
    {
        lock (_gate) _inside -= answers;
    }

    private void EndTurn(int turn, TimeSpan took)
    {
        _turns.Writer.TryWrite(turn);
        lock (_gate) _turnSeconds = 0.9 * _turnSeconds + 0.1 * took.TotalSeconds;
    }

    /// <summary>The places of a request.</summary>
    public sealed class Ticket(Places places, int answers) : IDisposable
    {
        /// <summary>Waits for one of the answers' turn; disposing of what comes back ends it.</summary>
        public async Task<IDisposable> TurnAsync(CancellationToken cancel) => new Turn(places, await places._turns.Reader.ReadAsync(cancel).ConfigureAwait(false));

        public void Dispose() => places.Leave(answers);
    }

    private sealed class Turn(Places places, int turn) : IDisposable
    {
        private readonly long _began = Stopwatch.GetTimestamp();

        public void Dispose() => places.EndTurn(turn, Stopwatch.GetElapsedTime(_began));
    }
}
