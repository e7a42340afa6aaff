#include "device.h"

#include "ggml-impl.h"

#include <algorithm>
#include <deque>

using nbm::failure;
using nbm::group;
using nbm::slot;
using nbm::streamed_tensor;

nbm_device::nbm_device(ggml_backend_dev_t inner, const nbm_options & options)
    : inner(inner), options(options), name(std::string("NBM-") + ggml_backend_dev_name(inner)), shared_name(name + "-shared"), handle(nbm::make_handle(this)),
      stream_buft(nbm::make_stream_buft(this)), shared_buft(nbm::make_shared_buft(this)) {
    if (options.ring < 2) {
        throw failure{NBM_INVALID, "a ring of " + std::to_string(options.ring) + " slots; it needs at least 2"};
    }
}

nbm_device::~nbm_device() {
    transport.reset(); // its thread and streams use all the rest
    for (slot & one : slots) {
        ggml_backend_buffer_free(one.buffer);
    }
    if (shared_buffer != nullptr) {
        ggml_backend_buffer_free(shared_buffer);
    }
    if (views != nullptr) {
        ggml_free(views);
    }
}

void nbm_device::bind_file(const ggml_tensor * tensor, const char * path, uint64_t offset) {
    if (committed) {
        throw failure{NBM_INVALID, std::string(tensor->name) + ": files are bound before the commit"};
    }
    auto found = std::find_if(tensors.begin(), tensors.end(), [&](const streamed_tensor & one) { return one.tensor == tensor && !one.shared; });
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
    groups = nbm::make_groups(tensors, (int) options.ring, ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(inner)));
    usages.resize(groups.size());
    size_t in_ram = 0;
    for (group & one : groups) {
        if (!one.shared || options.shared_batch > 0) {
            slot_bytes = std::max(slot_bytes, one.size);
        }
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
    ram = std::make_unique<nbm::arena>(options.pins_for != nullptr ? options.pins_for : inner, in_ram, options.allow_unpinned != 0);
    if (slot_bytes > 0) {
        allocate_slots();
    }
    place_tensors();
    if (!slots.empty()) {
        transport = nbm::make_generic_transport(inner, groups, slots, ram->data(), files, options.allow_unpinned != 0);
    }
    courier   = nbm::make_courier(inner);
    committed = true;
}

// Streamed tensors point into their slots and shared ones into the arena, once and for ever.
void nbm_device::place_tensors() {
    const bool any_shared = std::any_of(groups.begin(), groups.end(), [](const group & one) { return one.shared; });
    if (any_shared) {
        shared_buffer = ggml_backend_cpu_buffer_from_ptr(ram->data(), ram->size());
        if (shared_buffer == nullptr) {
            throw failure{NBM_NO_MEMORY, "no memory for the host buffer"};
        }
        shared_buffer->buft = &shared_buft;
        ggml_backend_buffer_set_usage(shared_buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        our_buffers.insert(shared_buffer);
    }
    for (size_t i = 0; i < groups.size(); i++) {
        for (size_t k = 0; k < groups[i].tensors.size(); k++) {
            streamed_tensor & one = groups[i].tensors[k];
            one.tensor->buffer = one.shared ? shared_buffer : slots[groups[i].slot].buffer;
            one.tensor->data   = one.shared ? ram->data() + one.offset : slots[groups[i].slot].base + one.place;
            place_by_tensor[one.tensor] = {(int) i, (int) k};
        }
    }
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
    std::unordered_set<int> filled;
    for (int i = 0; i < (int) groups.size() && !primed && transport; i++) {
        if (!groups[i].shared && filled.insert(groups[i].slot).second) {
            transport->load(i);
        }
    }
    primed = true;
}

void nbm_device::allocate_slots() {
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
        one.buffer = ggml_backend_buft_alloc_buffer(buft, slot_bytes + alignment);
        if (one.buffer == nullptr) {
            throw failure{NBM_NO_MEMORY, std::string(ggml_backend_dev_name(inner)) + ": refused " + std::to_string(slot_bytes + alignment)
                                             + " bytes for slot " + std::to_string(i + 1) + " of " + std::to_string(count)};
        }
        ggml_backend_buffer_set_usage(one.buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        one.base         = (uint8_t *) (((uintptr_t) ggml_backend_buffer_get_base(one.buffer) + alignment - 1) / alignment * alignment);
        one.view         = ggml_new_tensor_1d(views, GGML_TYPE_I8, (int64_t) slot_bytes);
        one.view->buffer = one.buffer;
        one.view->data   = one.base;
        our_buffers.insert(one.buffer);
        slots.push_back(one);
    }
}

void * nbm_device::tensor_bytes(const ggml_tensor * tensor) const {
    auto found = place_by_tensor.find(tensor);
    if (found == place_by_tensor.end()) {
        return nullptr;
    }
    const streamed_tensor & one = groups[found->second.first].tensors[found->second.second];
    return one.file >= 0 ? nullptr : ram->data() + one.offset;
}

static const ggml_tensor * owner_of(const ggml_tensor * tensor) { return tensor->view_src != nullptr ? tensor->view_src : tensor; }

static int64_t batch_of(const ggml_tensor * op) { return op->op == GGML_OP_MUL_MAT_ID ? op->ne[2] : op->op == GGML_OP_MUL_MAT ? op->ne[1] : ggml_nrows(op); }

bool nbm_device::takes(const ggml_tensor * op) const {
    for (const ggml_tensor * source : op->src) {
        const ggml_tensor * owner = source == nullptr ? nullptr : owner_of(source);
        if (owner != nullptr && owner->buffer != nullptr && owner->buffer->buft == &shared_buft) {
            return options.shared_batch > 0 && batch_of(op) >= (int64_t) options.shared_batch;
        }
    }
    return true;
}

int nbm_device::group_of(const ggml_tensor * node) const {
    int group = -1;
    for (const ggml_tensor * source : node->src) {
        const ggml_tensor * owner = source == nullptr ? nullptr : owner_of(source);
        if (owner == nullptr || owner->buffer == nullptr || our_buffers.find(owner->buffer) == our_buffers.end()) {
            continue;
        }
        auto found = place_by_tensor.find(owner);
        if (found == place_by_tensor.end()) {
            continue;
        }
        if (group >= 0 && group != found->second.first) {
            throw failure{NBM_INVALID, std::string(node->name) + ": needs weights of two groups at once, " + groups[group].name + " and " + groups[found->second.first].name};
        }
        group = found->second.first;
    }
    return group;
}

// Shared weights are in host memory; while their group is in its slot, the nodes that use them are given stand-ins there.
ggml_status nbm_device::compute_nodes(ggml_backend_t compute, ggml_cgraph * graph, int from, int to) const {
    if (from >= to) {
        return GGML_STATUS_SUCCESS;
    }
    std::deque<ggml_tensor>                              stand_ins;
    std::vector<std::pair<ggml_tensor **, ggml_tensor *>> replaced;
    for (int node = from; held >= 0 && groups[held].shared && node < to; node++) {
        for (ggml_tensor *& source : graph->nodes[node]->src) {
            const ggml_tensor * owner = source == nullptr ? nullptr : owner_of(source);
            if (owner == nullptr || owner->buffer != shared_buffer) {
                continue;
            }
            const auto & [group, number] = place_by_tensor.at(owner);
            const slot  & in             = slots[groups[group].slot];
            stand_ins.push_back(*source);
            ggml_tensor & stand_in = stand_ins.back();
            stand_in.buffer   = in.buffer;
            stand_in.data     = in.base + groups[group].tensors[number].place + ((const uint8_t *) source->data - (const uint8_t *) owner->data);
            stand_in.view_src = nullptr;
            replaced.emplace_back(&source, source);
            source = &stand_in;
        }
    }
    ggml_cgraph piece = ggml_graph_view(graph, from, to);
    piece.uid         = 0; // pieces of one graph are not each other
    const ggml_status status = compute->iface.graph_compute(compute, &piece);
    for (auto & [place, original] : replaced) {
        *place = original;
    }
    return status;
}

void nbm_device::leave(bool with_shared) {
    if (held < 0) {
        return;
    }
    transport->release(held);
    const int next = with_shared ? groups[held].next_with_shared : groups[held].next;
    if (next >= 0 && next != held) {
        transport->load(next);
    }
    usages[held].graphs = 0;
    left = held;
    held = -1;
}

void nbm_device::hold(int group, ggml_backend_t compute) {
    if (group == left) {
        usages[group].known = 0; // it is needed again after all
    }
    try {
        transport->await(group, compute);
    } catch (...) {
        primed = false;
        throw;
    }
    held   = group;
    holder = compute;
}

// The graph is cut where a node first needs another group: up to there the present group's slot is read, from there on the next one's.
//
// Where the CPU computes parts of a layer, one pass is many graphs. A group is held from graph to graph until another is needed; the next time it is left
// after as many graphs, so that its slot is free while the CPU computes.
ggml_status nbm_device::run(ggml_backend_t compute, ggml_cgraph * graph, const nbm::stop_request & stop) {
    if (slots.empty()) {
        return compute->iface.graph_compute(compute, graph);
    }
    std::lock_guard<std::mutex> lock(computing);
    prime(); // anew after a failure
    if (holder != compute) {
        leave(false);
    }
    std::vector<int> needed(graph->n_nodes);
    bool             with_shared = false;
    for (int node = 0; node < graph->n_nodes; node++) {
        needed[node] = group_of(graph->nodes[node]);
        with_shared  = with_shared || (needed[node] >= 0 && groups[needed[node]].shared);
    }
    int  from = 0;
    bool used = false; // the held group, in this graph
    for (int node = 0; node < graph->n_nodes; node++) {
        if (needed[node] < 0) {
            continue;
        }
        if (needed[node] != held) {
            const ggml_status status = compute_nodes(compute, graph, from, node);
            from = node;
            if (held >= 0) {
                transport->mark(held, compute);
                usages[held].known = usages[held].graphs + (used ? 1 : 0);
                leave(with_shared);
            }
            if (status != GGML_STATUS_SUCCESS) {
                return status;
            }
            if (stop.made()) {
                return GGML_STATUS_ABORTED;
            }
            hold(needed[node], compute);
        }
        used = true;
    }
    const ggml_status status = compute_nodes(compute, graph, from, graph->n_nodes);
    if (held >= 0) {
        transport->mark(held, compute);
        usages[held].graphs += used ? 1 : 0;
        if (usages[held].known > 0 && usages[held].graphs >= usages[held].known) {
            leave(with_shared);
        }
    }
    return status;
}

void nbm_device::fail(const std::string & text) {
    std::lock_guard<std::mutex> lock(error_lock);
    last_error = text;
}
