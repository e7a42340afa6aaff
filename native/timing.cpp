#include "timing.h"

#include <algorithm>

namespace nbm {

timing::timing(ggml_backend_dev_t inner, const std::vector<group> & groups, bool asynchronous)
    : device_clock(asynchronous ? make_stopwatch(inner) : nullptr), by_host(!asynchronous), counted(groups.size()) {}

timing::~timing() {
    for (const unread & one : pending) {
        give_back(one.one);
    }
    for (ggml_backend_event_t one : spare) {
        device_clock->drop(one);
    }
}

timing::span timing::begin(ggml_backend_t stream) {
    span one;
    if (by_host) {
        one.since = clock::now();
    } else if (device_clock) {
        std::lock_guard<std::mutex> lock(mutex);
        collect();
        if (pending.size() < most_pending) {
            one.begin = take();
            one.end   = take();
        }
        if (one.begin != nullptr && one.end != nullptr) {
            ggml_backend_event_record(one.begin, stream);
        }
    }
    return one;
}

void timing::end_load(const span & one, int group, size_t bytes, ggml_backend_t stream) { end({one, group, bytes}, stream); }
void timing::end_wait(const span & one, int group, ggml_backend_t stream) { end({one, group, 0}, stream); }

static uint64_t nanoseconds(timing::clock::duration time) { return (uint64_t) std::chrono::duration_cast<std::chrono::nanoseconds>(time).count(); }

void timing::end(const unread & what, ggml_backend_t stream) {
    std::lock_guard<std::mutex> lock(mutex);
    if (by_host) {
        count(what.group, what.bytes, nanoseconds(clock::now() - what.one.since));
    } else if (what.one.begin != nullptr && what.one.end != nullptr) {
        ggml_backend_event_record(what.one.end, stream);
        pending.push_back(what);
    }
}

void timing::add_load(int group, size_t bytes, clock::duration took) {
    std::lock_guard<std::mutex> lock(mutex);
    if (by_host || device_clock) {
        count(group, bytes, nanoseconds(took));
    }
}

void timing::discard(const span & one) {
    std::lock_guard<std::mutex> lock(mutex);
    give_back(one);
}

void timing::give_back(const span & one) {
    for (ggml_backend_event_t event : {one.begin, one.end}) {
        if (event != nullptr) {
            spare.push_back(event);
        }
    }
}

void timing::count(int group, size_t bytes, uint64_t ns) {
    totals & of = counted[group];
    if (bytes == 0) {
        of.wait_ns += ns;
        return;
    }
    of.bytes += bytes;
    of.load_ns += ns;
    if (bytes >= full_speed && ns > 0) {
        of.peak = std::max(of.peak, (double) bytes * 1e9 / (double) ns);
    }
}

// With the lock held. Spans of two streams end in no fixed order, so each is asked.
void timing::collect() {
    for (size_t i = pending.size(); i-- > 0;) {
        const unread one = pending.front();
        pending.pop_front();
        if (!device_clock->passed(one.one.end)) {
            pending.push_back(one);
            continue;
        }
        count(one.group, one.bytes, device_clock->between(one.one.begin, one.one.end));
        give_back(one.one);
    }
}

ggml_backend_event_t timing::take() {
    if (spare.empty()) {
        return device_clock->make();
    }
    ggml_backend_event_t one = spare.back();
    spare.pop_back();
    return one;
}

void timing::add_stats(nbm_stats & stats) {
    std::lock_guard<std::mutex> lock(mutex);
    collect();
    stats.timed = by_host || device_clock ? 1 : 0;
    for (const totals & of : counted) {
        stats.load_ns += of.load_ns;
        stats.wait_ns += of.wait_ns;
    }
}

void timing::add_stats(int group, nbm_group_stats & stats) {
    std::lock_guard<std::mutex> lock(mutex);
    collect();
    stats.load_ns      = counted[group].load_ns;
    stats.timed_bytes  = counted[group].bytes;
    stats.peak         = (uint64_t) counted[group].peak;
    stats.wait_ns      = counted[group].wait_ns;
}

} // namespace nbm
