// The transport over the plain ggml backend interface. A thread of its own reads and enqueues: on a device with events it hands copies to a second
// stream and lets the device order them against the computing; on one without (the CPU) host memory is filled, from files
// without a copy, while other groups are computed from.
#include "dispatch.h"
#include "timing.h"

#include "ggml-backend-impl.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

namespace nbm {
namespace {

// Streams for copies, two that take turns where the device orders them by events: a copy engine does all that one stream has for it before it looks at another, and a batch's
// inputs would wait for a whole ring.
class copy_streams {
public:
    explicit copy_streams(ggml_backend_dev_t inner) {
        streams[0] = ggml_backend_dev_init(inner, nullptr);
        if (streams[0] == nullptr) {
            throw failure{NBM_NO_MEMORY, "the device gave no second stream for copies"};
        }
        if (asynchronous()) {
            streams[1] = ggml_backend_dev_init(inner, nullptr);
            turned     = ggml_backend_event_new(inner);
        }
    }
    ~copy_streams() {
        for (ggml_backend_t one : streams) {
            if (one != nullptr) {
                ggml_backend_synchronize(one);
                ggml_backend_free(one);
            }
        }
        if (turned != nullptr) {
            ggml_backend_event_free(turned);
        }
    }
    copy_streams(const copy_streams &) = delete;
    copy_streams & operator=(const copy_streams &) = delete;

    bool asynchronous() const { return streams[0]->iface.set_tensor_async != nullptr && streams[0]->iface.event_wait != nullptr; }

    // The one whose turn it is.
    ggml_backend_t now() const { return streams[turn]; }

    // The other one's turn, behind everything that this one has been given.
    void next() {
        if (turned == nullptr || streams[1] == nullptr) {
            return;
        }
        ggml_backend_event_record(turned, streams[turn]);
        turn ^= 1;
        ggml_backend_event_wait(streams[turn], turned);
    }

private:
    ggml_backend_t       streams[2] = {};
    ggml_backend_event_t turned     = nullptr;
    int                  turn       = 0;
};

class generic_transport final : public transport {
public:
    generic_transport(ggml_backend_dev_t inner, const std::vector<group> & groups, const ring_memory & ring, const uint8_t * arena_base, const files & from,
                      bool allow_unpinned)
        : groups(groups), ring(ring), arena_base(arena_base), from(from), states(groups.size()), copies(inner), asynchronous(copies.asynchronous()) {
        if (asynchronous) {
            for (state & of : states) {
                of.ready = ggml_backend_event_new(inner);
                of.done  = ggml_backend_event_new(inner);
                asynchronous = asynchronous && of.ready != nullptr && of.done != nullptr;
            }
        }
        times = std::make_unique<timing>(inner, groups, asynchronous);
        size_t largest = 0;
        for (const group & one : groups) {
            for (const streamed_tensor & tensor : one.tensors) {
                if (tensor.file >= 0 && !ring.direct) {
                    largest = std::max(largest, files::room(std::min(tensor.bytes, chunk)));
                }
            }
        }
        if (largest > 0) {
            staging.emplace(inner, largest * readers, allow_unpinned);
            staging->pin({0, staging->size()});
            for (int i = 0; i < readers; i++) {
                stages[i].memory = staging->data() + (size_t) i * largest;
                stages[i].free   = asynchronous ? ggml_backend_event_new(inner) : nullptr;
            }
        }
        loader = std::thread([this] { run(); });
    }

    ~generic_transport() override {
        {
            std::lock_guard<std::mutex> lock(mutex);
            stopping = true;
        }
        changed.notify_all();
        loader.join();
        ggml_backend_synchronize(copies.now());
        times.reset();
        for (state & of : states) {
            free_event(of.ready);
            free_event(of.done);
        }
        for (stage & one : stages) {
            free_event(one.free);
        }
    }

    void load(int index, bool with_shared) override {
        {
            std::lock_guard<std::mutex> lock(mutex);
            state & of = states[index];
            of.turn    = ++turns;
            of.arrived = false;
            of.problem.reset();
            queue.push_back({index, of.turn, with_shared});
        }
        changed.notify_all();
    }

    void drop(int index) override {
        {
            std::lock_guard<std::mutex> lock(mutex);
            states[index].turn = 0;
        }
        changed.notify_all();
    }

    void await(int index, ggml_backend_t compute) override {
        state & of = states[index];
        std::unique_lock<std::mutex> lock(mutex);
        // On a device with streams of its own, computing arrives later than this thread does, and the span says when.
        const timing::span stood_still = times->begin(compute);
        changed.wait(lock, [&] { return of.arrived || of.problem; });
        if (of.problem) {
            times->discard(stood_still);
            of.turn = 0;
            throw *of.problem;
        }
        of.in_use = true;
        of.turn   = 0;
        lock.unlock();
        if (asynchronous) {
            ggml_backend_event_wait(compute, of.ready);
        }
        times->end_wait(stood_still, index, compute);
    }

    void mark(int index, ggml_backend_t compute) override {
        if (asynchronous) {
            ggml_backend_event_record(states[index].done, compute);
            std::lock_guard<std::mutex> lock(mutex);
            states[index].recorded = true;
        }
    }

    void release(int index) override {
        // Computing is given out no further ahead than the ring reaches, so that a pass can end early.
        if (asynchronous) {
            ggml_backend_event_synchronize(states[index].ready);
        }
        {
            std::lock_guard<std::mutex> lock(mutex);
            states[index].in_use = false;
        }
        changed.notify_all();
    }

    void add_stats(nbm_stats & to) const override {
        std::lock_guard<std::mutex> lock(mutex);
        to.loads           = stats.loads;
        to.bytes_from_ram  = stats.bytes_from_ram;
        to.bytes_from_file = stats.bytes_from_file;
        to.staging_bytes   = staging ? staging->size() : 0;
        times->add_stats(to);
    }

    void add_stats(int group, nbm_group_stats & to) const override {
        std::lock_guard<std::mutex> lock(mutex);
        to.loads = states[group].loads;
        times->add_stats(group, to);
    }

private:
    // Several large reads in flight keep a disk at its full speed while what they brought is copied on. Plans count this memory (Planning/StagingSize.cs).
    static constexpr size_t chunk   = 8u << 20;
    static constexpr int    readers = 4;

    // Bytes of a copy: what others wait for at most.
    static constexpr size_t most = 64u << 20;

    // Memory that a reader reads into; `free` tells when the copy out of it is over.
    struct stage {
        uint8_t            * memory = nullptr;
        ggml_backend_event_t free   = nullptr;
        bool                 used   = false;
    };

    // A piece of a tensor.
    struct read_job {
        const streamed_tensor * tensor;
        uint64_t                offset;  // in its file
        size_t                  size;
        size_t                  place;   // in the ring
        std::atomic<int>      * missing; // pieces of the tensor that have not come
    };

    struct state {
        uint64_t             turn     = 0;     // when it was asked for; 0 where it is not, or is in use
        bool                 arrived  = false; // its turn came: its copies are enqueued (asynchronous) or complete
        bool                 whole    = false; // and nothing has taken a part of its place since
        bool                 in_use   = false; // computing may read it
        bool                 with_shared = false; // whose passes' place it has, or had last
        bool                 recorded = false; // `done` stands for its last use, and the copies do not wait for it yet
        uint64_t             loads    = 0;
        std::optional<failure> problem;        // why it is not there
        ggml_backend_event_t ready    = nullptr;
        ggml_backend_event_t done     = nullptr;
    };

    // One load of a group.
    struct delivery {
        int      group;
        uint64_t turn;
        bool     with_shared;
    };

    static void free_event(ggml_backend_event_t event) {
        if (event != nullptr) {
            ggml_backend_event_free(event);
        }
    }

    void run() {
        std::unique_lock<std::mutex> lock(mutex);
        while (true) {
            changed.wait(lock, [&] { return stopping || !queue.empty(); });
            if (stopping) {
                return;
            }
            const delivery now = queue.front();
            queue.pop_front();
            state & of = states[now.group];
            if (of.turn == now.turn) {
                move_to_place(now);
            }
            if (of.turn == now.turn && !of.whole) {
                lock.unlock();
                bool                   complete = false;
                std::optional<failure> problem;
                try {
                    complete = fill(now);
                    if (complete && asynchronous) {
                        ggml_backend_event_record(of.ready, copies.now());
                    }
                } catch (const failure & caught) {
                    problem = caught;
                }
                lock.lock();
                of.whole = complete;
                stats.loads += complete ? 1 : 0;
                of.loads += complete ? 1 : 0;
                if (of.turn == now.turn) {
                    of.problem = problem;
                }
            }
            if (of.turn == now.turn) {
                of.arrived = of.whole;
            }
            changed.notify_all();
        }
    }

    // From the place that a group had in passes of the other kind; that one is free when it has been read. With the lock held.
    void move_to_place(const delivery & now) {
        state & of = states[now.group];
        if (of.with_shared == now.with_shared || groups[now.group].stays) {
            of.with_shared = now.with_shared;
            return;
        }
        if (of.recorded) {
            ggml_backend_event_wait(copies.now(), of.done);
            of.recorded = false;
        }
        of.whole       = false;
        of.with_shared = now.with_shared;
    }

    // How far the ring is free for a delivery from `from` on, at most to `to`: waits until it is there at least. `from` itself where the delivery is off.
    size_t free_until(const delivery & now, size_t from, size_t to) {
        std::unique_lock<std::mutex> lock(mutex);
        while (true) {
            size_t until   = to;
            bool   blocked = false;
            for (size_t i = 0; i < groups.size(); i++) {
                state & of = states[i];
                const bool needed = (int) i != now.group && (of.in_use || (of.turn > 0 && of.turn < now.turn));
                if (!needed && !of.recorded) {
                    continue;
                }
                for (const stretch & part : groups[i].takes[of.with_shared]) {
                    if (part.to <= from || part.from >= until) {
                        continue;
                    }
                    if (part.from > from) {
                        until = part.from;
                    } else if (needed) {
                        blocked = true;
                    } else {
                        ggml_backend_event_wait(copies.now(), of.done);
                        of.recorded = false;
                        break;
                    }
                }
            }
            if (stopping || states[now.group].turn != now.turn) {
                return from;
            }
            if (!blocked) {
                for (size_t i = 0; i < groups.size(); i++) {
                    for (const stretch & part : groups[i].takes[states[i].with_shared]) {
                        states[i].whole = states[i].whole && (part.to <= from || part.from >= until);
                    }
                }
                return until;
            }
            changed.wait(lock);
        }
    }

    // False where the delivery is off.
    bool fill(const delivery & now) {
        const group & what = groups[now.group];
        std::vector<read_job>         jobs;
        std::vector<std::atomic<int>> missing(what.tensors.size());
        for (size_t i = 0; i < what.tensors.size(); i++) {
            const streamed_tensor & tensor = what.tensors[i];
            const size_t            place  = tensor.place[now.with_shared];
            if (tensor.file >= 0) {
                // What is read in place is whole blocks.
                const size_t before = ring.direct ? tensor.offset % files::alignment : 0;
                for (size_t at = 0; at < before + tensor.bytes; at += chunk) {
                    jobs.push_back({&tensor, tensor.offset - before + at, std::min(chunk, before + tensor.bytes - at), place - tensor.inset + at, &missing[i]});
                    missing[i]++;
                }
                continue;
            }
            // Tensors that stand side by side in arena and ring alike go in one copy.
            size_t run = tensor.bytes;
            while (i + 1 < what.tensors.size() && what.tensors[i + 1].file < 0
                   && what.tensors[i + 1].offset - tensor.offset == what.tensors[i + 1].place[now.with_shared] - place) {
                i++;
                run = what.tensors[i].place[now.with_shared] - place + what.tensors[i].bytes;
            }
            if (!bring(now, place, arena_base + tensor.offset, run)) {
                return false;
            }
            count(stats.bytes_from_ram, run);
        }
        return read_in(now, jobs);
    }

    void count(uint64_t & of, uint64_t more) {
        std::lock_guard<std::mutex> lock(mutex);
        of += more;
    }

    // Copies what the ring has room for, until all is there. False where the delivery is off.
    bool bring(const delivery & now, size_t place, const uint8_t * bytes, size_t size, bool timed = true) {
        for (size_t done = 0; done < size;) {
            copies.next();
            const size_t piece = free_until(now, place + done, place + std::min(size, done + most)) - (place + done);
            if (piece == 0) {
                return false;
            }
            ggml_backend_t     copy   = copies.now();
            const timing::span coming = timed ? times->begin(copy) : timing::span();
            if (asynchronous) {
                copy->iface.set_tensor_async(copy, ring.view, bytes + done, place + done, piece);
            } else {
                ggml_backend_tensor_set(ring.view, bytes + done, place + done, piece);
            }
            if (timed) {
                times->end_load(coming, now.group, piece, copy);
            }
            done += piece;
        }
        return true;
    }

    // Reads to the ring itself, as far as it has room, until all is there. False where the delivery is off.
    bool read_in_place(const delivery & now, const read_job & job, int at_once) {
        const streamed_tensor & tensor = *job.tensor;
        for (size_t done = 0; done < job.size;) {
            const size_t place = job.place + done;
            const size_t bytes = std::min(job.size - done, free_until(now, place, place + files::whole(job.size - done)) - place);
            if (bytes == 0) {
                return false;
            }
            read(now, job, done, bytes, ring.base + place, at_once);
            done += bytes;
        }
        // Where tensors begin in a file as the device does not want them, whoever reads the last piece of one moves it.
        const size_t place = tensor.place[now.with_shared], landed = place - tensor.inset + tensor.offset % files::alignment;
        if (--*job.missing == 0 && landed != place) {
            std::memmove(ring.base + place, ring.base + landed, tensor.bytes);
        }
        return true;
    }

    // Reads to a stage and copies on. False where the delivery is off.
    bool read_and_bring(const delivery & now, const read_job & job, stage & with, int at_once) {
        if (with.used) {
            ggml_backend_event_synchronize(with.free);
        }
        const uint8_t              * bytes = read(now, job, 0, job.size, with.memory, at_once);
        std::unique_lock<std::mutex> lock(enqueueing, std::defer_lock);
        if (asynchronous) {
            lock.lock();
        }
        if (!bring(now, job.place, bytes, job.size, false)) {
            return false;
        }
        if (asynchronous) {
            ggml_backend_event_record(with.free, copies.now());
            with.used = true;
        }
        return true;
    }

    const uint8_t * read(const delivery & now, const read_job & job, size_t at, size_t size, uint8_t * memory, int at_once) {
        const auto      begun = timing::clock::now();
        const uint8_t * bytes = from.read(job.tensor->file, job.offset + at, size, memory);
        times->add_load(now.group, size, (timing::clock::now() - begun) / at_once);
        count(stats.bytes_from_file, size);
        return bytes;
    }

    // What files bring is timed as it is read: the copies onwards are short and hidden behind it. False where the delivery is off.
    bool read_in(const delivery & now, const std::vector<read_job> & jobs) {
        const int              at_once = (int) std::min<size_t>(readers, jobs.size());
        std::atomic<size_t>    next{0};
        std::atomic<bool>      off{false};
        std::optional<failure> problem;
        auto work = [&](stage & with) {
            for (size_t i = next++; i < jobs.size(); i = next++) {
                try {
                    if (!(ring.direct ? read_in_place(now, jobs[i], at_once) : read_and_bring(now, jobs[i], with, at_once))) {
                        off  = true;
                        next = jobs.size();
                        return;
                    }
                } catch (const failure & caught) {
                    std::lock_guard<std::mutex> lock(enqueueing);
                    problem = caught;
                    next    = jobs.size();
                }
            }
        };
        std::vector<std::thread> others;
        for (int i = 1; i < at_once; i++) {
            others.emplace_back(work, std::ref(stages[i]));
        }
        work(stages[0]);
        for (std::thread & other : others) {
            other.join();
        }
        if (problem) {
            throw *problem;
        }
        return !off;
    }

    const std::vector<group> & groups;
    const ring_memory        & ring;
    const uint8_t            * arena_base;
    const files              & from;
    std::vector<state>         states;
    copy_streams               copies;
    bool                       asynchronous;

    std::unique_ptr<timing> times;
    std::optional<arena>    staging;
    stage                   stages[readers];
    std::mutex              enqueueing; // the copy stream, and the problem of a reader

    mutable std::mutex      mutex;
    std::condition_variable changed;
    std::deque<delivery>    queue;
    uint64_t                turns    = 0;
    nbm_stats               stats    = {};
    bool                    stopping = false;
    std::thread             loader;
};

} // namespace

bool reads_host_memory(ggml_backend_dev_t inner) {
    ggml_backend_buffer_type_t pinned = ggml_backend_dev_host_buffer_type(inner);
    return ggml_backend_dev_supports_buft(inner, pinned != nullptr ? pinned : ggml_backend_cpu_buffer_type()) || maps_host_memory(inner);
}

std::unique_ptr<transport> make_generic_transport(ggml_backend_dev_t inner, const std::vector<group> & groups, const ring_memory & ring,
                                                  const uint8_t * arena, const files & files, bool allow_unpinned) {
    return std::make_unique<generic_transport>(inner, groups, ring, arena, files, allow_unpinned);
}

} // namespace nbm
