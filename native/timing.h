// How long each group took to come into the ring, and how long computing stood still for it.
#pragma once

#include "dispatch.h"

#include <chrono>
#include <deque>
#include <mutex>
#include <vector>

namespace nbm {

// By the device's clock where it has one, and by the host's where the device is the host. Elsewhere nothing is known: work is enqueued, and no one sees it end.
class timing {
public:
    using clock = std::chrono::steady_clock;

    // A stretch of a stream's work that has begun.
    struct span {
        ggml_backend_event_t begin = nullptr;
        ggml_backend_event_t end   = nullptr;
        clock::time_point    since;
    };

    timing(ggml_backend_dev_t inner, const std::vector<group> & groups, bool asynchronous);
    ~timing();
    timing(const timing &) = delete;
    timing & operator=(const timing &) = delete;

    span begin(ggml_backend_t stream);
    void end_load(const span & one, int group, size_t bytes, ggml_backend_t stream);
    void end_wait(const span & one, int group, ggml_backend_t stream);
    void add_load(int group, size_t bytes, clock::duration took); // as the caller saw it
    void discard(const span & one); // it came to nothing

    // Adds what has been seen to end so far.
    void add_stats(nbm_stats & stats);
    void add_stats(int group, nbm_group_stats & stats);

private:
    static constexpr size_t most_pending = 4096; // what is begun beyond it is not timed

    static constexpr size_t full_speed   = 1u << 20; // fewer bytes come at the speed of a call, not of the link

    struct totals {
        uint64_t load_ns = 0;
        uint64_t bytes   = 0; // that came in this time
        double   peak    = 0; // bytes per second
        uint64_t wait_ns = 0;
    };
    struct unread {
        span   one;
        int    group;
        size_t bytes; // 0 for a wait
    };

    void                 end(const unread & what, ggml_backend_t stream);
    void                 give_back(const span & one);
    void                 count(int group, size_t bytes, uint64_t ns);
    void                 collect();
    ggml_backend_event_t take();

    std::unique_ptr<stopwatch>        device_clock;
    const bool                        by_host;
    std::mutex                        mutex;
    std::vector<totals>               counted;
    std::deque<unread>                pending;
    std::vector<ggml_backend_event_t> spare;
};

} // namespace nbm
