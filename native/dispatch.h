// The transport's seam: how the bytes of a group come into the ring while the device computes. One implementation over the plain ggml backend interface
// serves every device; a device's own can stand beside it.
#pragma once

#include "nbm.h"
#include "ring.h"
#include "store.h"

#include "ggml-backend.h"

#include <memory>
#include <vector>

namespace nbm {

// The device's memory that groups pass through.
struct ring_memory {
    ggml_backend_buffer_t buffer = nullptr;
    uint8_t             * base   = nullptr;
    size_t                size   = 0;
    ggml_tensor         * view   = nullptr; // spans it, so that copies have a tensor to name
    bool                  direct = false;   // host memory that files are read straight into: every tensor has room for whole blocks of its file, from an aligned address on
};

// Used by one computing thread at a time. A group is asked for, awaited, marked and released, in this order, or dropped before it is awaited.
class transport {
public:
    virtual ~transport() = default;

    // Brings a group to the place that it has in a pass with or without the shared groups, after those asked for before it: piece by piece, as soon as what still has
    // its place is done. Returns at once.
    virtual void load(int group, bool with_shared) = 0;

    // A group that was asked for is not needed after all.
    virtual void drop(int group) = 0;

    // Returns when work given to `compute` from now on finds the group in its place. Throws the failure of its load.
    virtual void await(int group, ggml_backend_t compute) = 0;

    // Work given to `compute` so far reads the group: until it is done no other may take its place. Meant again with every graph that uses it.
    virtual void mark(int group, ggml_backend_t compute) = 0;

    // Nothing given after the last mark reads the group.
    virtual void release(int group) = 0;

    virtual void add_stats(nbm_stats & stats) const = 0;
    virtual void add_stats(int group, nbm_group_stats & stats) const = 0;
};

// Moments on a device's streams, by the device's own clock. Events of it are recorded as the device's other events are.
class stopwatch {
public:
    virtual ~stopwatch() = default;

    virtual ggml_backend_event_t make()                           = 0; // null where the device refuses one
    virtual void                 drop(ggml_backend_event_t event) = 0;

    // Whether the work before the event's last record is done.
    virtual bool passed(ggml_backend_event_t event) const = 0;

    // Nanoseconds from one to the other, both passed.
    virtual uint64_t between(ggml_backend_event_t begin, ggml_backend_event_t end) const = 0;
};

// Null where the device tells no time.
std::unique_ptr<stopwatch> make_stopwatch(ggml_backend_dev_t inner);

// Brings the small tensors that layers computed elsewhere, on the CPU or another device, leave behind. A copy engine would have them wait behind the layers that stream.
class courier {
public:
    virtual ~courier() = default;

    // Copies host memory into a tensor on the device, after the work given to `compute` and before what will be given. The memory may be changed as soon as
    // this returns. False, and nothing done, where it cannot.
    virtual bool bring(const void * from, ggml_tensor * to, ggml_backend_t compute) = 0;

    // Copies a tensor of another device, after the work given to `source` and to `compute` and before what will be given to either. False, and nothing done, where it cannot.
    virtual bool pass(const ggml_tensor * from, ggml_backend_t source, ggml_tensor * to, ggml_backend_t compute) = 0;

    // Tensors brought so far.
    virtual uint64_t carried() const = 0;
};

// Null where the device has none: then the device's own copies serve.
std::unique_ptr<courier> make_courier(ggml_backend_dev_t inner);

// Whether kernels of the device read host memory that is pinned for it, at the addresses that the host has for it.
bool reads_host_memory(ggml_backend_dev_t inner);

// The same of memory that is pinned in place, which ggml does not know.
bool maps_host_memory(ggml_backend_dev_t inner);

std::unique_ptr<transport> make_generic_transport(ggml_backend_dev_t inner, const std::vector<group> & groups, const ring_memory & ring,
                                                  const uint8_t * arena, const files & files, bool allow_unpinned);

} // namespace nbm
