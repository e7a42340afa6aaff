#include "device.h"

#include "ggml-impl.h"

#include <algorithm>
#include <cstring>

using nbm::failure;
using nbm::group;
using nbm::slot;
using nbm::streamed_tensor;

nbm_device::nbm_device(ggml_backend_dev_t inner, const nbm_options & options)
    : inner(inner), options(options), name(std::string("NBM-") + ggml_backend_dev_name(inner)), handle(nbm::make_handle(this)),
      stream_buft(nbm::make_stream_buft(this)) {
    if (options.ring < 2) {
        throw failure{NBM_INVALID, "a ring of " + std::to_string(options.ring) + " slots; it needs at least 2"};
    }
}

nbm_device::~nbm_device() {
    transport.reset(); // its thread and streams use all the rest
    for (slot & one : slots) {
        ggml_backend_buffer_free(one.buffer);
    }
    if (views != nullptr) {
        ggml_free(views);
    }
}

void nbm_device::bind_file(const ggml_tensor * tensor, const char * path, uint64_t offset) {
    if (committed) {
        throw failure{NBM_INVALID, std::string(tensor->name) + ": files are bound before the commit"};
    }
    auto found = std::find_if(tensors.begin(), tensors.end(), [&](const streamed_tensor & one) { return one.tensor == tensor; });
    if (found == tensors.end()) {
        throw failure{NBM_INVALID, std::string(tensor->name) + ": is not in the stream buffer type"};
    }
    found->file   = files.open(path);
    found->offset = offset;
}

void nbm_device::commit() {
    if (committed) {
        throw failure{NBM_INVALID, "the device is committed already"};
    }
    const size_t alignment = ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(inner));
    groups = nbm::make_groups(tensors, (int) options.ring, alignment);
    size_t in_ram = 0;
    for (group & one : groups) {
        slot_bytes = std::max(slot_bytes, one.size);
        const size_t base = in_ram;
        for (streamed_tensor & tensor : one.tensors) {
            if (tensor.file >= 0) {
                file_bytes += tensor.bytes;
                continue;
            }
            // Where all of a group is in memory, arena and slot have the same layout and one copy brings it over.
            tensor.offset = base + tensor.place;
            in_ram        = std::max(in_ram, base + tensor.place + tensor.size);
        }
        in_ram = (in_ram + nbm::files::alignment - 1) / nbm::files::alignment * nbm::files::alignment;
    }
    ram = std::make_unique<nbm::arena>(inner, in_ram, options.allow_unpinned != 0);
    if (!groups.empty()) {
        allocate_slots(slot_bytes);
        for (size_t i = 0; i < groups.size(); i++) {
            slot & into = slots[groups[i].slot];
            for (streamed_tensor & tensor : groups[i].tensors) {
                tensor.tensor->data             = into.base + tensor.place;
                tensor.tensor->buffer           = into.buffer;
                group_by_tensor[tensor.tensor] = (int) i;
            }
        }
        transport = nbm::make_generic_transport(inner, groups, slots, ram->data(), files, options.allow_unpinned != 0);
    }
    committed = true;
}

void nbm_device::start() {
    if (!committed) {
        throw failure{NBM_INVALID, "the device is started after its commit"};
    }
    ram->pin();
    std::lock_guard<std::mutex> lock(computing);
    prime();
}

void nbm_device::prime() {
    for (int i = 0; i < (int) slots.size() && !primed; i++) {
        transport->load(i);
    }
    primed = true;
}

void nbm_device::allocate_slots(size_t size) {
    ggml_backend_buffer_type_t buft      = ggml_backend_dev_buffer_type(inner);
    const size_t               alignment = ggml_backend_buft_get_alignment(buft);
    const size_t               count     = std::min<size_t>(options.ring, groups.size());
    views = ggml_init({ggml_tensor_overhead() * (count + 1), nullptr, true});
    if (views == nullptr) {
        throw failure{NBM_NO_MEMORY, "no memory for the ring's tensors"};
    }
    slots.reserve(count);
    for (size_t i = 0; i < count; i++) {
        slot one;
        one.buffer = ggml_backend_buft_alloc_buffer(buft, size + alignment);
        if (one.buffer == nullptr) {
            throw failure{NBM_NO_MEMORY, std::string(ggml_backend_dev_name(inner)) + ": refused " + std::to_string(size + alignment) + " bytes for slot "
                                             + std::to_string(i + 1) + " of " + std::to_string(count)};
        }
        ggml_backend_buffer_set_usage(one.buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        one.base         = (uint8_t *) (((uintptr_t) ggml_backend_buffer_get_base(one.buffer) + alignment - 1) / alignment * alignment);
        one.view         = ggml_new_tensor_1d(views, GGML_TYPE_I8, (int64_t) size);
        one.view->buffer = one.buffer;
        one.view->data   = one.base;
        slot_buffers.insert(one.buffer);
        slots.push_back(one);
    }
}

void * nbm_device::tensor_bytes(const ggml_tensor * tensor) const {
    auto found = group_by_tensor.find(tensor);
    if (found == group_by_tensor.end()) {
        return nullptr;
    }
    for (const streamed_tensor & one : groups[found->second].tensors) {
        if (one.tensor == tensor) {
            return one.file >= 0 ? nullptr : ram->data() + one.offset;
        }
    }
    return nullptr;
}

int nbm_device::group_of(const ggml_tensor * node) const {
    for (const ggml_tensor * source : node->src) {
        if (source == nullptr) {
            continue;
        }
        const ggml_tensor * owner = source->view_src != nullptr ? source->view_src : source;
        if (owner->buffer == nullptr || slot_buffers.find(owner->buffer) == slot_buffers.end()) {
            continue;
        }
        auto found = group_by_tensor.find(owner);
        if (found != group_by_tensor.end()) {
            return found->second;
        }
    }
    return -1;
}

static ggml_status compute_nodes(ggml_backend_t compute, ggml_cgraph * graph, int from, int to) {
    if (from >= to) {
        return GGML_STATUS_SUCCESS;
    }
    ggml_cgraph piece = ggml_graph_view(graph, from, to);
    piece.uid         = 0; // pieces of one graph are not each other
    return compute->iface.graph_compute(compute, &piece);
}

// The graph is cut where a node first needs another group: up to there the present group's slot is read, from there on the next one's.
ggml_status nbm_device::run(ggml_backend_t compute, ggml_cgraph * graph) {
    if (groups.empty()) {
        return compute->iface.graph_compute(compute, graph);
    }
    std::lock_guard<std::mutex> lock(computing);
    prime(); // anew after a failure
    int current = -1, from = 0;
    const auto leave = [&](int group) {
        if (group < 0) {
            return;
        }
        transport->release(group, compute);
        if (groups[group].next != group) {
            transport->load(groups[group].next);
        }
    };
    for (int node = 0; node < graph->n_nodes; node++) {
        const int needed = group_of(graph->nodes[node]);
        if (needed < 0 || needed == current) {
            continue;
        }
        const ggml_status status = compute_nodes(compute, graph, from, node);
        from = node;
        leave(current);
        current = -1;
        if (status != GGML_STATUS_SUCCESS) {
            return status;
        }
        try {
            transport->await(needed, compute);
        } catch (...) {
            primed = false;
            throw;
        }
        current = needed;
    }
    const ggml_status status = compute_nodes(compute, graph, from, graph->n_nodes);
    leave(current);
    return status;
}

void nbm_device::fail(const std::string & text) {
    std::lock_guard<std::mutex> lock(error_lock);
    last_error = text;
}
