#include "device.h"

#include "ggml-impl.h"

#include <algorithm>
#include <deque>

using nbm::failure;
using nbm::group;
using nbm::streamed_tensor;

nbm_device::nbm_device(ggml_backend_dev_t inner, const nbm_options & options)
    : inner(inner), options(options), name(std::string("NBM-") + ggml_backend_dev_name(inner)), shared_name(name + "-shared"), handle(nbm::make_handle(this)),
      stream_buft(nbm::make_stream_buft(this)), shared_buft(nbm::make_shared_buft(this)), reads_store(options.linked_experts > 0 && nbm::reads_host_memory(inner)) {}

nbm_device::~nbm_device() {
    transport.reset(); // its thread and streams use all the rest
    if (ring.buffer != nullptr) {
        ggml_backend_buffer_free(ring.buffer);
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
    make_rooms();
    groups = nbm::make_groups(tensors);
    usages.resize(groups.size());
    for (bool kind : {false, true}) {
        used[kind].resize(groups.size());
        idle[kind].resize(groups.size());
    }
    brings_shared = std::any_of(groups.begin(), groups.end(), [this](const group & one) { return one.shared && travels(one); });
    const size_t alignment = ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(inner));
    size_t       in_ram    = 0;
    lacking = std::vector<std::atomic<int64_t>>(groups.size());
    for (group & one : groups) {
        one.rests.from = in_ram;
        // Tensors that stand side by side in arena and ring alike come over in one copy.
        for (streamed_tensor & tensor : one.tensors) {
            if (tensor.file >= 0) {
                file_bytes += tensor.bytes;
                continue;
            }
            tensor.offset = in_ram;
            in_ram += GGML_PAD(tensor.size, alignment);
            lacking[(size_t) (&one - groups.data())] += (int64_t) tensor.bytes;
        }
        in_ram = one.rests.to = nbm::files::whole(in_ram);
    }
    ram = std::make_unique<nbm::arena>(options.pins_for != nullptr ? options.pins_for : inner, in_ram, options.allow_unpinned != 0);
    if (std::any_of(groups.begin(), groups.end(), [this](const group & one) { return travels(one); })) {
        allocate_ring();
        nbm::lay_out(groups, ring.size, brings_shared);
    }
    place_tensors();
    if (ring.buffer != nullptr) {
        transport = nbm::make_generic_transport(inner, groups, ring, ram->data(), files, options.allow_unpinned != 0);
    }
    courier   = nbm::make_courier(inner);
    committed = true;
}

// What comes from files to the CPU is read straight into the ring, whole blocks of it: a tensor lies there as far behind a block's beginning as in its file. Plans count these rooms
// (Planning/RingSize.cs).
void nbm_device::make_rooms() {
    const size_t alignment = ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(inner));
    ring.direct = ggml_backend_dev_type(inner) == GGML_BACKEND_DEVICE_TYPE_CPU
        && std::any_of(tensors.begin(), tensors.end(), [](const streamed_tensor & one) { return one.file >= 0; });
    for (streamed_tensor & one : tensors) {
        one.room  = ring.direct ? nbm::files::room(one.size) : GGML_PAD(one.size, alignment);
        one.inset = ring.direct && one.file >= 0 ? one.offset % nbm::files::alignment / alignment * alignment : 0;
    }
}

// Streamed tensors point to the places in the ring that they have for small batches, and shared ones into the arena, once and for ever.
void nbm_device::place_tensors() {
    const bool any_shared = std::any_of(groups.begin(), groups.end(), [](const group & one) { return one.shared; });
    if (any_shared) {
        shared_buffer = ggml_backend_cpu_buffer_from_ptr(ram->data(), ram->size());
        if (shared_buffer == nullptr) {
            throw failure{NBM_NO_MEMORY, "no memory for the host buffer"};
        }
        shared_buffer->buft = &shared_buft;
        ggml_backend_buffer_set_usage(shared_buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
    for (size_t i = 0; i < groups.size(); i++) {
        for (size_t k = 0; k < groups[i].tensors.size(); k++) {
            streamed_tensor & one = groups[i].tensors[k];
            one.tensor->buffer = one.shared ? shared_buffer : ring.buffer;
            one.tensor->data   = one.shared ? ram->data() + one.offset : ring.base + one.place[false];
            place_by_tensor[one.tensor] = {(int) i, (int) k};
        }
    }
}

// Copies never reach from one group into another, so each can be pinned by itself.
void nbm_device::filled(const ggml_tensor * tensor, uint64_t bytes) {
    if (tensor_bytes(tensor) == nullptr) {
        throw failure{NBM_INVALID, std::string(tensor->name) + ": has no bytes here to fill"};
    }
    const int group = place_by_tensor.at(tensor).first;
    if ((lacking[group] -= (int64_t) bytes) == 0) {
        ram->pin(groups[group].rests);
    }
}

void nbm_device::start() {
    if (!committed) {
        throw failure{NBM_INVALID, "the device is started after its commit"};
    }
    for (size_t i = 0; i < groups.size(); i++) {
        if (lacking[i] != 0) {
            throw failure{NBM_INVALID, groups[i].name + ": " + std::to_string(lacking[i]) + " bytes are still to be filled"};
        }
    }
    reads_store = reads_store && (ram->pinned() || ggml_backend_dev_type(inner) == GGML_BACKEND_DEVICE_TYPE_CPU);
    std::lock_guard<std::mutex> lock(computing);
    prime();
}

void nbm_device::prime() {
    if (primed || !transport) {
        return;
    }
    forget();
    auto first = std::find_if(groups.begin(), groups.end(), [](const group & one) { return !one.shared; });
    if (first != groups.end()) {
        ask_for((int) (first - groups.begin()), false);
    }
    primed = true;
}

void nbm_device::allocate_ring() {
    ggml_backend_buffer_type_t buft      = ggml_backend_dev_buffer_type(inner);
    const size_t               alignment = ggml_backend_buft_get_alignment(buft);
    views = ggml_init({ggml_tensor_overhead() * 2, nullptr, true});
    if (views == nullptr) {
        throw failure{NBM_NO_MEMORY, "no memory for the ring's tensor"};
    }
    const std::string on    = ggml_backend_dev_name(inner);
    const size_t      slack = ring.direct ? 0 : alignment; // to where it begins
    for (const group & one : groups) {
        if (travels(one) && one.size + slack > options.ring_bytes) {
            throw failure{NBM_INVALID, on + ": a ring of " + std::to_string(options.ring_bytes) + " bytes; " + one.name + " takes " + std::to_string(one.size + slack)};
        }
    }
    if (options.ring_bytes > ggml_backend_buft_get_max_size(buft)) {
        throw failure{NBM_NO_MEMORY, on + ": a ring of " + std::to_string(options.ring_bytes) + " bytes; the device allocates at most "
                                         + std::to_string(ggml_backend_buft_get_max_size(buft)) + " at once"};
    }
    if (ring.direct) {
        ring_pages = std::make_unique<nbm::arena>(inner, options.ring_bytes, true);
    }
    ring.buffer = ring.direct ? ggml_backend_cpu_buffer_from_ptr(ring_pages->data(), options.ring_bytes) : ggml_backend_buft_alloc_buffer(buft, options.ring_bytes);
    if (ring.buffer == nullptr) {
        throw failure{NBM_NO_MEMORY, on + ": refused " + std::to_string(options.ring_bytes) + " bytes for the ring"};
    }
    ggml_backend_buffer_set_usage(ring.buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    const uintptr_t base = (uintptr_t) ggml_backend_buffer_get_base(ring.buffer), start = GGML_PAD(base, alignment);
    ring.base         = (uint8_t *) start;
    ring.size         = options.ring_bytes - (start - base);
    ring.view         = ggml_new_tensor_1d(views, GGML_TYPE_I8, (int64_t) ring.size);
    ring.view->buffer = ring.buffer;
    ring.view->data   = ring.base;
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

bool nbm_device::is_large(const ggml_tensor * op) const { return options.shared_batch > 0 && nbm::batch_of(op) >= (int64_t) options.shared_batch; }

bool nbm_device::takes(const ggml_tensor * op) const {
    for (const ggml_tensor * source : op->src) {
        const ggml_tensor * owner = source == nullptr ? nullptr : owner_of(source);
        if (owner != nullptr && owner->buffer != nullptr && owner->buffer->buft == &shared_buft) {
            return is_large(op) || (links() && nbm::is_linkable(op));
        }
    }
    return true;
}

int nbm_device::group_of(const ggml_tensor * node) const {
    int group = -1;
    for (const ggml_tensor * source : node->src) {
        const ggml_tensor * owner = source == nullptr ? nullptr : owner_of(source);
        if (owner == nullptr || owner->buffer == nullptr || (owner->buffer != ring.buffer && owner->buffer != shared_buffer)) {
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

// While a group is where large batches have it, the nodes that use its weights are given stand-ins there.
ggml_status nbm_device::compute_nodes(nbm::stream & stream, ggml_cgraph * graph, int from, int to) const {
    if (from >= to) {
        return GGML_STATUS_SUCCESS;
    }
    std::deque<ggml_tensor>                              stand_ins;
    std::vector<std::pair<ggml_tensor **, ggml_tensor *>> replaced;
    for (int node = from; held >= 0 && held_with_shared && node < to; node++) {
        for (ggml_tensor *& source : graph->nodes[node]->src) {
            const ggml_tensor * owner = source == nullptr ? nullptr : owner_of(source);
            auto                found = owner == nullptr ? place_by_tensor.end() : place_by_tensor.find(owner);
            if (found == place_by_tensor.end() || found->second.first != held) {
                continue;
            }
            const auto & [group, number] = found->second;
            stand_ins.push_back(*source);
            ggml_tensor & stand_in = stand_ins.back();
            stand_in.buffer   = ring.buffer;
            stand_in.data     = ring.base + groups[group].tensors[number].place[true] + ((const uint8_t *) source->data - (const uint8_t *) owner->data);
            stand_in.view_src = nullptr;
            replaced.emplace_back(&source, source);
            source = &stand_in;
        }
    }
    const bool        same   = replaced.empty();
    const ggml_status status = stream.experts ? stream.experts->compute(stream.compute, stream.given, graph, from, to, same) : stream.given.compute(stream.compute, graph, from, to, same);
    for (auto & [place, original] : replaced) {
        *place = original;
    }
    return status;
}

// -1 where nothing is foreseen: behind a large batch nothing of its kind, unless another followed the last one.
int nbm_device::after(int group, bool with_shared) const {
    for (size_t step = 0; group >= 0 && step < groups.size(); step++) {
        const int next = with_shared ? groups[group].next_with_shared : groups[group].next;
        if (with_shared && !large_follows && next <= group) {
            return -1;
        }
        group = next;
        if (group >= 0 && !idle[with_shared][group]) {
            return group;
        }
    }
    return -1;
}

// A pass of either kind from its beginning.
void nbm_device::foresee(bool with_shared) {
    foresees_shared = with_shared;
    size_t first = 0;
    while (first < groups.size() && ((groups[first].shared && !with_shared) || groups[first].encoder || idle[with_shared][first])) {
        first++;
    }
    ask_for(first < groups.size() ? (int) first : -1, with_shared);
}

// The first groups of a large batch come while its graph is built: what came ahead has the places of a token's. A token's came ahead.
void nbm_device::expect(uint32_t tokens) {
    if (!transport || !brings_shared || tokens < options.shared_batch) {
        return;
    }
    std::lock_guard<std::mutex> lock(computing);
    prime();
    if (foresees_shared && !coming.empty()) {
        return;
    }
    leave();
    forget();
    foresee(true);
}

// Everything that comes after the last group asked for is asked for, once round: what has no room yet waits for it.
void nbm_device::ask_for(int group, bool with_shared) {
    while (group >= 0 && group != held && std::find(coming.begin(), coming.end(), group) == coming.end()) {
        transport->load(group, with_shared);
        coming.push_back(group);
        group = after(group, with_shared);
    }
}

// The pass is over. Of the last layer a prompt needs one token alone, whose shared part the CPU computes, and texts are encoded once.
void nbm_device::note_pass(bool large_next) {
    const bool kind = std::find(used[true].begin(), used[true].end(), true) != used[true].end();
    large_follows   = kind ? large_next : large_follows;
    for (size_t i = 0; i < groups.size(); i++) {
        idle[kind][i] = !used[kind][i] && !groups[i].encoder;
    }
    used[false].assign(groups.size(), false);
    used[true].assign(groups.size(), false);
}

// The last ones first: what a group gives up is room for those after it, and the loader would bring them meanwhile.
void nbm_device::forget() {
    for (; !coming.empty(); coming.pop_back()) {
        transport->drop(coming.back());
    }
}

void nbm_device::leave() {
    if (held < 0) {
        return;
    }
    transport->release(held);
    usages[held].graphs = 0;
    left = held;
    held = -1;
}

void nbm_device::hold(int group, ggml_backend_t compute, bool with_shared) {
    if (group == left) {
        usages[group].known = 0; // it is needed again after all
    }
    if (group < std::max(held, left)) {
        note_pass(with_shared);
    }
    // What was foreseen for a pass of another kind: loads that come to nothing, or lack what this one needs.
    if (with_shared != foresees_shared) {
        forget();
        foresees_shared = with_shared;
    }
    for (bool again = false; held != group; again = true) {
        if (std::find(coming.begin(), coming.end(), group) == coming.end()) {
            forget(); // nobody foresaw it
            if (idle[with_shared][group]) { // nor what follows
                idle[with_shared].assign(groups.size(), false);
            }
            ask_for(group, with_shared);
        }
        for (; coming.front() != group; coming.pop_front()) {
            transport->drop(coming.front());
        }
        coming.pop_front();
        try {
            transport->await(group, compute);
            held             = group;
            held_with_shared = with_shared;
        } catch (const failure &) {
            forget();
            if (again) { // and not before anyone needed it
                primed = false;
                throw;
            }
        }
    }
    holder = compute;
    used[with_shared][group] = true;
    ask_for(after(coming.empty() ? group : coming.back(), with_shared), with_shared);
    if (coming.empty() && with_shared) {
        foresee(false); // the first ones of a token come while a large batch's last group is computed
    }
}

static bool is_product(const ggml_tensor * node) { return node->op == GGML_OP_MUL_MAT || node->op == GGML_OP_MUL_MAT_ID; }

// The graph is cut where a node first needs another group, from which on that is read, and before it where products of weights that rest on the device follow.
//
// Where the CPU computes parts of a layer, one pass is many graphs. A group is held from graph to graph until another is needed; the next time it is left
// after as many graphs, so that its place is free while the CPU computes.
ggml_status nbm_device::run(nbm::stream & stream, ggml_cgraph * graph) {
    if (!transport) {
        return compute_nodes(stream, graph, 0, graph->n_nodes);
    }
    std::lock_guard<std::mutex> lock(computing);
    prime(); // anew after a failure
    if (holder != stream.compute) {
        leave();
    }
    std::vector<int> needed(graph->n_nodes);
    bool             with_shared = false;
    for (int node = 0; node < graph->n_nodes; node++) {
        needed[node] = group_of(graph->nodes[node]);
        const ggml_tensor * op = graph->nodes[node];
        if (needed[node] >= 0 && groups[needed[node]].shared && !is_large(op)) {
            if (needed[node] == held) {
                leave(); // a large batch had it
            }
            needed[node] = -1; // where it rests
        }
        // A product tells how many tokens there are; other nodes count their heads as well.
        with_shared = with_shared || (brings_shared && needed[node] >= 0 && is_product(op) && is_large(op));
    }
    int  from = 0, end = 0; // of the nodes that are still to be computed, and of those that read the held group
    bool used = false;      // the held group, in this graph
    // Computes the nodes before `to`. With the first product that other weights have a group that was used is done, and its place is free while they are multiplied.
    auto advance = [&](int to, bool last) {
        const int others = held < 0 || !used ? to : (int) (std::find_if(graph->nodes + end, graph->nodes + to, is_product) - graph->nodes);
        ggml_status status = compute_nodes(stream, graph, from, others);
        if (held >= 0) {
            if (used) {
                transport->mark(held, stream.compute);
                usages[held].graphs++;
            }
            if (!last) {
                usages[held].known = usages[held].graphs;
            }
            if (!last || (usages[held].known > 0 && usages[held].graphs >= usages[held].known)) {
                leave();
            }
        }
        if (status == GGML_STATUS_SUCCESS) {
            status = compute_nodes(stream, graph, others, to);
        }
        from = to;
        return status;
    };
    for (int node = 0; node < graph->n_nodes; node++) {
        if (needed[node] < 0) {
            continue;
        }
        if (needed[node] != held) {
            const ggml_status status = advance(node, false);
            if (status != GGML_STATUS_SUCCESS) {
                return status;
            }
            if (stream.stop.made()) {
                return GGML_STATUS_ABORTED;
            }
            hold(needed[node], stream.compute, with_shared);
        }
        used = true;
        end  = node + 1;
    }
    return advance(graph->n_nodes, true);
}

void nbm_device::fail(const std::string & text) {
    std::lock_guard<std::mutex> lock(error_lock);
    last_error = text;
}
