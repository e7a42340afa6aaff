// The C ABI: status and text for whatever happens behind it.
#include "nbm.h"
#include "device.h"
#include "mapping.h"

#include <cstdio>
#include <exception>
#include <map>
#include <new>

namespace {

void write_text(char * error, size_t size, const std::string & text) {
    if (error != nullptr && size > 0) {
        std::snprintf(error, size, "%s", text.c_str());
    }
}

template <typename work>
nbm_status guarded(char * error, size_t size, work && what) {
    try {
        what();
        write_text(error, size, "");
        return NBM_OK;
    } catch (const nbm::failure & caught) {
        write_text(error, size, caught.text);
        return (nbm_status) caught.status;
    } catch (const std::bad_alloc &) {
        write_text(error, size, "the host has no memory left");
        return NBM_NO_MEMORY;
    } catch (const std::exception & caught) {
        write_text(error, size, caught.what());
        return NBM_INVALID;
    }
}

// As llama_memory_breakdown in llama.cpp's src/llama-ext.h.
struct held_bytes {
    size_t model, context, compute;
};
using held_by_type = std::map<ggml_backend_buffer_type_t, held_bytes>;

} // namespace

nbm_status nbm_device_create(ggml_backend_device * inner, const nbm_options * options, nbm_device ** device, char * error, size_t error_size) {
    return guarded(error, error_size, [&] {
        if (inner == nullptr || options == nullptr || device == nullptr) {
            throw nbm::failure{NBM_INVALID, "nbm_device_create needs a device, options and a place for the result"};
        }
        if (options->linked_experts > 0 && options->cpu == nullptr) {
            throw nbm::failure{NBM_INVALID, "linked experts need the CPU's device"};
        }
        *device = new nbm_device(inner, *options);
    });
}

ggml_backend_device      * nbm_device_handle(nbm_device * device) { return &device->handle; }
ggml_backend_buffer_type * nbm_device_stream_buft(nbm_device * device) { return &device->stream_buft; }
ggml_backend_buffer_type * nbm_device_shared_buft(nbm_device * device) { return &device->shared_buft; }

uint32_t nbm_reads_host_memory(ggml_backend_device * device) { return nbm::reads_host_memory(device) ? 1 : 0; }

void nbm_device_set_threads(nbm_device * device, ggml_threadpool * threads) { device->threads = threads; }

nbm_status nbm_device_bind_file(nbm_device * device, const ggml_tensor * tensor, const char * path, uint64_t offset, char * error, size_t error_size) {
    return guarded(error, error_size, [&] { device->bind_file(tensor, path, offset); });
}

nbm_status nbm_device_commit(nbm_device * device, char * error, size_t error_size) {
    return guarded(error, error_size, [&] { device->commit(); });
}

nbm_status nbm_device_filled(nbm_device * device, const ggml_tensor * tensor, uint64_t bytes, char * error, size_t error_size) {
    return guarded(error, error_size, [&] { device->filled(tensor, bytes); });
}

nbm_status nbm_device_start(nbm_device * device, char * error, size_t error_size) {
    return guarded(error, error_size, [&] { device->start(); });
}

void nbm_device_expect(nbm_device * device, uint32_t tokens) {
    guarded(nullptr, 0, [&] { device->expect(tokens); });
}

void * nbm_device_tensor_bytes(nbm_device * device, const ggml_tensor * tensor) { return device->tensor_bytes(tensor); }

void nbm_device_last_error(nbm_device * device, char * error, size_t error_size) {
    std::lock_guard<std::mutex> lock(device->error_lock);
    write_text(error, error_size, device->last_error);
    device->last_error.clear();
}

void nbm_device_get_stats(nbm_device * device, nbm_stats * stats) {
    *stats            = {};
    stats->groups     = device->groups.size();
    stats->ring_bytes = device->ring.buffer != nullptr ? device->options.ring_bytes : 0;
    stats->ram_bytes  = device->ram ? device->ram->size() : 0;
    stats->file_bytes = device->file_bytes;
    stats->pinned     = device->ram && device->ram->pinned();
    if (device->transport) {
        device->transport->add_stats(*stats);
    }
    stats->link_bytes = device->link_bytes;
    if (device->courier) {
        stats->carried = device->courier->carried();
    }
}

nbm_status nbm_device_get_group_stats(nbm_device * device, uint64_t group, nbm_group_stats * stats, char * error, size_t error_size) {
    return guarded(error, error_size, [&] {
        if (group >= device->groups.size()) {
            throw nbm::failure{NBM_INVALID, "group " + std::to_string(group) + " of " + std::to_string(device->groups.size())};
        }
        const nbm::group & of = device->groups[group];
        *stats        = {};
        stats->shared = of.shared;
        write_text(stats->name, sizeof stats->name, of.name);
        for (const nbm::streamed_tensor & tensor : of.tensors) {
            (tensor.file >= 0 ? stats->file_bytes : stats->ram_bytes) += tensor.bytes;
        }
        if (device->transport) {
            device->transport->add_stats((int) group, *stats);
        }
    });
}

void nbm_device_destroy(nbm_device * device) { delete device; }

nbm_status nbm_memory_breakdown(const void * breakdown, const void * context, nbm_memory * entries, size_t capacity, size_t * count, char * error, size_t error_size) {
    return guarded(error, error_size, [&] {
        if (breakdown == nullptr || context == nullptr || entries == nullptr || count == nullptr) {
            throw nbm::failure{NBM_INVALID, "nbm_memory_breakdown needs a function, a context and places for the result"};
        }
        const held_by_type held = ((held_by_type (*)(const void *)) breakdown)(context);
        *count = held.size();
        size_t written = 0;
        for (const auto & [type, bytes] : held) {
            if (written < capacity) {
                entries[written++] = {type, bytes.model, bytes.context, bytes.compute};
            }
        }
    });
}

struct nbm_mapping {
    explicit nbm_mapping(const char * path) : file(path) {}
    nbm::mapping file;
};

nbm_status nbm_mapping_create(const char * path, nbm_mapping ** mapping, const void ** memory, uint64_t * size, char * error, size_t error_size) {
    return guarded(error, error_size, [&] {
        if (path == nullptr || mapping == nullptr || memory == nullptr || size == nullptr) {
            throw nbm::failure{NBM_INVALID, "nbm_mapping_create needs a path and places for the results"};
        }
        *mapping = new nbm_mapping(path);
        *memory  = (*mapping)->file.memory();
        *size    = (*mapping)->file.size();
    });
}

nbm_status nbm_mapping_fill(const nbm_mapping * mapping, uint64_t offset, uint64_t size, char * error, size_t error_size) {
    return guarded(error, error_size, [&] { mapping->file.fill(offset, size); });
}

uint32_t nbm_mapping_is_damaged(const nbm_mapping * mapping) { return mapping->file.damaged() ? 1 : 0; }

void nbm_mapping_destroy(nbm_mapping * mapping) { delete mapping; }

uint32_t nbm_abi_version(void) { return NBM_ABI_VERSION; }

void nbm_abi_sizes(uint32_t * options_size, uint32_t * stats_size, uint32_t * group_stats_size) {
    *options_size     = sizeof(nbm_options);
    *stats_size       = sizeof(nbm_stats);
    *group_stats_size = sizeof(nbm_group_stats);
}
