// The transport over the plain ggml backend interface. A thread of its own reads and enqueues: on a device with events it hands copies to a second
// stream and lets the device order them against the computing; on one without (the CPU) host memory is filled while other slots are computed from.
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

class generic_transport final : public transport {
public:
    generic_transport(ggml_backend_dev_t inner, const std::vector<group> & groups, std::vector<slot> & slots, const uint8_t * arena_base, const files & from,
                      bool allow_unpinned)
        : groups(groups), slots(slots), arena_base(arena_base), from(from), states(slots.size()) {
        copy = ggml_backend_dev_init(inner, nullptr);
        if (copy == nullptr) {
            throw failure{NBM_NO_MEMORY, "the device gave no second stream for copies"};
        }
        asynchronous = copy->iface.set_tensor_async != nullptr && copy->iface.event_wait != nullptr;
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
                if (tensor.file >= 0) {
                    largest = std::max(largest, files::room(std::min(tensor.bytes, chunk)));
                }
            }
        }
        if (largest > 0) {
            staging.emplace(inner, largest * readers, allow_unpinned);
            staging->pin();
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
        ggml_backend_synchronize(copy);
        times.reset();
        for (state & of : states) {
            free_event(of.ready);
            free_event(of.done);
        }
        for (stage & one : stages) {
            free_event(one.free);
        }
        ggml_backend_free(copy);
    }

    void load(int index) override {
        std::lock_guard<std::mutex> lock(mutex);
        claim(index);
    }

    void await(int index, ggml_backend_t compute) override {
        state & of = states[groups[index].slot];
        std::unique_lock<std::mutex> lock(mutex);
        if (of.occupant != index || of.problem) {
            claim(index); // not foreseen, or it failed before anyone needed it
        }
        // On a device with streams of its own, computing arrives later than this thread does, and the span says when.
        const timing::span stood_still = times->begin(compute);
        changed.wait(lock, [&] { return of.loaded || of.problem; });
        if (of.problem) {
            times->discard(stood_still);
            throw *of.problem;
        }
        of.in_use = true;
        lock.unlock();
        if (asynchronous) {
            ggml_backend_event_wait(compute, of.ready);
        }
        times->end_wait(stood_still, index, compute);
    }

    void mark(int index, ggml_backend_t compute) override {
        state & of = states[groups[index].slot];
        if (asynchronous) {
            ggml_backend_event_record(of.done, compute);
            std::lock_guard<std::mutex> lock(mutex);
            of.recorded = true;
        }
    }

    void release(int index) override {
        // Computing is given out no further ahead than the ring reaches, so that a pass can end early.
        if (asynchronous) {
            ggml_backend_event_synchronize(states[groups[index].slot].ready);
        }
        {
            std::lock_guard<std::mutex> lock(mutex);
            states[groups[index].slot].in_use = false;
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

    void add_stats(int group, nbm_group_stats & to) const override { times->add_stats(group, to); }

private:
    // Several large reads in flight keep a disk at its full speed while what they brought is copied on.
    static constexpr size_t chunk   = 8u << 20;
    static constexpr int    readers = 4;

    // Memory that a reader reads into; `free` tells when the copy out of it is over.
    struct stage {
        uint8_t            * memory = nullptr;
        ggml_backend_event_t free   = nullptr;
        bool                 used   = false;
    };

    struct read_job {
        const streamed_tensor * tensor;
        size_t                  at;
        size_t                  size;
    };

    struct state {
        int                  occupant = -1;    // the group that is or will be in the slot
        bool                 loaded   = false; // its copies are enqueued (asynchronous) or complete
        bool                 in_use   = false; // computing may read it
        bool                 recorded = false; // `done` stands for the last use
        std::optional<failure> problem;        // why the occupant is not there
        ggml_backend_event_t ready    = nullptr;
        ggml_backend_event_t done     = nullptr;
    };

    // With the lock held: the slot's next occupant, to be loaded in its turn.
    void claim(int index) {
        state & of  = states[groups[index].slot];
        of.occupant = index;
        of.loaded   = false;
        of.problem.reset();
        queue.push_back(index);
        changed.notify_all();
    }

    static void free_event(ggml_backend_event_t event) {
        if (event != nullptr) {
            ggml_backend_event_free(event);
        }
    }

    void run() {
        std::unique_lock<std::mutex> lock(mutex);
        while (true) {
            changed.wait(lock, [&] { return stopping || (!queue.empty() && !states[groups[queue.front()].slot].in_use); });
            if (stopping) {
                return;
            }
            int     index = queue.front();
            state & of    = states[groups[index].slot];
            queue.pop_front();
            if (of.occupant != index || of.loaded) {
                continue; // another group has claimed the slot since, or this one is there
            }
            bool wait_done = of.recorded;
            lock.unlock();
            nbm_stats moved = {};
            std::optional<failure> problem;
            if (wait_done) {
                ggml_backend_event_wait(copy, of.done);
            }
            const timing::span coming = times->begin(copy);
            try {
                fill(groups[index], slots[groups[index].slot], moved);
                times->end_load(coming, index, copy);
                if (asynchronous) {
                    ggml_backend_event_record(of.ready, copy);
                }
            } catch (const failure & caught) {
                times->discard(coming);
                problem = caught;
            }
            lock.lock();
            stats.loads++;
            stats.bytes_from_ram  += moved.bytes_from_ram;
            stats.bytes_from_file += moved.bytes_from_file;
            if (of.occupant == index) {
                of.loaded  = !problem;
                of.problem = problem;
            }
            changed.notify_all();
        }
    }

    void fill(const group & what, slot & into, nbm_stats & moved) {
        std::vector<read_job> jobs;
        for (size_t i = 0; i < what.tensors.size(); i++) {
            const streamed_tensor & tensor = what.tensors[i];
            if (tensor.file >= 0) {
                for (size_t at = 0; at < tensor.bytes; at += chunk) {
                    jobs.push_back({&tensor, at, std::min(chunk, tensor.bytes - at)});
                }
                moved.bytes_from_file += tensor.bytes;
                continue;
            }
            // Tensors that stand side by side in arena and slot alike go in one copy.
            size_t run = tensor.bytes;
            while (i + 1 < what.tensors.size() && what.tensors[i + 1].file < 0
                   && what.tensors[i + 1].offset - tensor.offset == what.tensors[i + 1].place - tensor.place) {
                i++;
                run = what.tensors[i].place - tensor.place + what.tensors[i].bytes;
            }
            copy_in(into, tensor.place, arena_base + tensor.offset, run);
            moved.bytes_from_ram += run;
        }
        read_in(jobs, into);
    }

    void read_in(const std::vector<read_job> & jobs, slot & into) {
        std::atomic<size_t>    next{0};
        std::optional<failure> problem;
        std::mutex             enqueueing; // the copy stream and the problem
        auto work = [&](stage & with) {
            for (size_t i = next++; i < jobs.size(); i = next++) {
                try {
                    if (with.used) {
                        ggml_backend_event_synchronize(with.free);
                    }
                    const streamed_tensor & tensor = *jobs[i].tensor;
                    const uint8_t * bytes = from.read(tensor.file, tensor.offset + jobs[i].at, jobs[i].size, with.memory);
                    if (!asynchronous) {
                        copy_in(into, tensor.place + jobs[i].at, bytes, jobs[i].size);
                        continue;
                    }
                    std::lock_guard<std::mutex> lock(enqueueing);
                    copy_in(into, tensor.place + jobs[i].at, bytes, jobs[i].size);
                    ggml_backend_event_record(with.free, copy);
                    with.used = true;
                } catch (const failure & caught) {
                    std::lock_guard<std::mutex> lock(enqueueing);
                    problem = caught;
                    next    = jobs.size();
                }
            }
        };
        std::vector<std::thread> others;
        for (size_t i = 1; i < std::min<size_t>(readers, jobs.size()); i++) {
            others.emplace_back(work, std::ref(stages[i]));
        }
        work(stages[0]);
        for (std::thread & other : others) {
            other.join();
        }
        if (problem) {
            throw *problem;
        }
    }

    void copy_in(slot & into, size_t place, const uint8_t * bytes, size_t size) {
        if (asynchronous) {
            copy->iface.set_tensor_async(copy, into.view, bytes, place, size);
        } else {
            ggml_backend_tensor_set(into.view, bytes, place, size);
        }
    }

    const std::vector<group> & groups;
    std::vector<slot>        & slots;
    const uint8_t            * arena_base;
    const files              & from;
    std::vector<state>         states;
    ggml_backend_t             copy         = nullptr;
    bool                       asynchronous = false;

    std::unique_ptr<timing> times;
    std::optional<arena>    staging;
    stage                   stages[readers];

    mutable std::mutex      mutex;
    std::condition_variable changed;
    std::deque<int>         queue;
    nbm_stats               stats    = {};
    bool                    stopping = false;
    std::thread             loader;
};

} // namespace

std::unique_ptr<transport> make_generic_transport(ggml_backend_dev_t inner, const std::vector<group> & groups, std::vector<slot> & slots,
                                                  const uint8_t * arena, const files & files, bool allow_unpinned) {
    return std::make_unique<generic_transport>(inner, groups, slots, arena, files, allow_unpinned);
}

} // namespace nbm
