#include "experts.h"

#include "ggml-backend-impl.h"

#include <algorithm>
#include <cstring>

namespace nbm {

constexpr int most_nodes = 32; // of a chain: a network of experts has three products, an activation, and a bias and a scale for each

static bool is_one_token(const ggml_tensor * tensor) { return tensor->ne[2] == 1 && tensor->ne[3] == 1; }

bool is_linkable(const ggml_tensor * op) { return (op->op == GGML_OP_MUL_MAT_ID || op->op == GGML_OP_ADD_ID) && is_one_token(op); }

// Computes a row from the same row of each of its sources.
static bool is_by_rows(const ggml_tensor * node) {
    switch (node->op) {
        case GGML_OP_GLU:
        case GGML_OP_UNARY:
        case GGML_OP_SCALE:
        case GGML_OP_CLAMP:
        case GGML_OP_SQR:
        case GGML_OP_ADD:
        case GGML_OP_MUL:
            return true;
        case GGML_OP_VIEW:
            return node->nb[1] == node->src[0]->nb[1] && node->view_offs < node->nb[1];
        default:
            return false;
    }
}

linked_experts::linked_experts(ggml_backend_dev_t inner, ggml_backend_dev_t cpu_device, const ggml_backend_buffer_type * shared, int linked, nbm::courier * courier, std::atomic<uint64_t> & link_bytes)
    : inner(inner), shared(shared), linked(linked), courier(courier), link_bytes(link_bytes), cpu(ggml_backend_dev_init(cpu_device, nullptr)), arrived(ggml_backend_event_new(inner)),
      memory(ggml_init({ggml_graph_overhead_custom(most_nodes, false), nullptr, true})) {
    if (cpu == nullptr || memory == nullptr) {
        throw failure{NBM_NO_MEMORY, "no memory for the CPU's part of the experts"};
    }
    part = ggml_new_graph_custom(memory.get(), most_nodes, false);
}

ggml_status linked_experts::compute(ggml_backend_t compute, pieces & given, ggml_cgraph * graph, int from, int to, bool same) {
    int done = from; // nodes
    for (int node = from; node < to; node++) {
        if (!is_product(graph->nodes[node])) {
            continue;
        }
        const chain what = chain_from(graph, node, to);
        if (what.end == 0) { // the device computes it alone
            link_bytes += (uint64_t) what.ids->ne[0] * graph->nodes[node]->src[0]->nb[2];
            continue;
        }
        ggml_status status = given.compute(compute, graph, done, what.begin, same);
        if (status == GGML_STATUS_SUCCESS) {
            status = divide(compute, given, graph, what, same);
        }
        if (status != GGML_STATUS_SUCCESS) {
            return status;
        }
        done = what.end;
        node = what.end - 1;
    }
    return given.compute(compute, graph, done, to, same);
}

bool linked_experts::is_shared(const ggml_tensor * tensor) const { return tensor->buffer != nullptr && tensor->buffer->buft == shared; }

bool linked_experts::is_product(const ggml_tensor * node) const { return node->op == GGML_OP_MUL_MAT_ID && is_one_token(node) && is_shared(node->src[0]); }

static bool is_among(const ggml_cgraph * graph, int from, int to, const ggml_tensor * tensor) { return std::find(graph->nodes + from, graph->nodes + to, tensor) != graph->nodes + to; }

bool linked_experts::belongs(const ggml_cgraph * graph, int index, chain & to) const {
    const ggml_tensor * node  = graph->nodes[index];
    auto                inside = [&](const ggml_tensor * tensor) { return is_among(graph, to.begin, index, tensor); };
    if (node->ne[1] != to.ids->ne[0] || !is_one_token(node) || (node->view_src != nullptr && !inside(node->view_src))) {
        return false;
    }
    if (is_product(node)) {
        ggml_tensor * with = node->src[1];
        if (node->src[2] != to.ids || !is_one_token(with) || !(inside(with) || ggml_is_contiguous(with))) {
            return false;
        }
        if (!inside(with) && std::find(to.given.begin(), to.given.end(), with) == to.given.end()) {
            to.given.push_back(with);
        }
        return true;
    }
    if (node->op == GGML_OP_ADD_ID) {
        return inside(node->src[0]) && is_shared(node->src[1]) && node->src[2] == to.ids;
    }
    return is_by_rows(node) && std::all_of(std::begin(node->src), std::end(node->src), [&](const ggml_tensor * source) { return source == nullptr || inside(source); });
}

// Of no nodes, where the device has to compute all of it.
linked_experts::chain linked_experts::chain_from(const ggml_cgraph * graph, int begin, int end) const {
    chain found;
    found.begin = begin;
    found.ids   = graph->nodes[begin]->src[2];
    if (found.ids->ne[0] <= linked) {
        return found;
    }
    for (int node = begin; node < std::min(end, begin + most_nodes) && belongs(graph, node, found); node++) {
        found.end = is_product(graph->nodes[node]) ? node + 1 : found.end;
    }
    // Only the last one's rows meet again on the device.
    for (int node = begin; node < found.end - 1; node++) {
        int uses = 0;
        for (int user = node + 1; user < found.end; user++) {
            uses += (int) std::count(std::begin(graph->nodes[user]->src), std::end(graph->nodes[user]->src), graph->nodes[node]);
        }
        if (uses != ggml_node_get_use_count(graph, node) || (graph->nodes[node]->flags & GGML_TENSOR_FLAG_OUTPUT) != 0) {
            found.end = 0;
        }
    }
    return found;
}

// After the work given to the device so far; at once where the host can read it.
static void fetch(ggml_backend_t compute, const ggml_tensor * tensor, uint8_t * to) {
    ggml_backend_buffer_t buffer = tensor->view_src != nullptr ? tensor->view_src->buffer : tensor->buffer;
    if (ggml_backend_buffer_is_host(buffer)) {
        ggml_backend_synchronize(compute);
        std::memcpy(to, tensor->data, ggml_nbytes(tensor));
        return;
    }
    ggml_backend_tensor_get_async(compute, tensor, to, 0, ggml_nbytes(tensor));
}

ggml_status linked_experts::divide(ggml_backend_t compute, pieces & given, ggml_cgraph * graph, const chain & what, bool same) {
    const int64_t others = what.ids->ne[0] - linked;
    make_mirror(compute, graph, what);
    fetch(compute, what.ids, mirrored.at(what.ids));
    for (const ggml_tensor * one : what.given) {
        fetch(compute, one, mirrored.at(one));
    }
    if (arrived) {
        ggml_backend_event_record(arrived.get(), compute);
    }
    ggml_status status = compute_linked(compute, given, graph, what, others, same);
    if (arrived) {
        ggml_backend_event_synchronize(arrived.get());
    }
    if (status == GGML_STATUS_SUCCESS) {
        status = compute_others(graph, what, others);
    }
    if (status == GGML_STATUS_SUCCESS) {
        ggml_tensor   rows = *graph->nodes[what.end - 1];
        const uint8_t * from = mirrored.at(graph->nodes[what.end - 1]);
        rows.ne[1] = others;
        if (courier == nullptr || !courier->bring(from, &rows, compute)) {
            ggml_backend_tensor_set_async(compute, &rows, from, 0, ggml_nbytes(&rows));
        }
    }
    return status;
}

void linked_experts::make_mirror(ggml_backend_t compute, const ggml_cgraph * graph, const chain & what) {
    constexpr size_t           alignment = 64;
    std::vector<ggml_tensor *> tensors   = what.given;
    tensors.push_back(what.ids);
    tensors.insert(tensors.end(), graph->nodes + what.begin, graph->nodes + what.end);
    std::unordered_map<const ggml_tensor *, size_t> offsets;
    size_t                                          size = 0;
    for (const ggml_tensor * one : tensors) {
        const auto seen_whole = offsets.find(one->view_src);
        offsets[one] = seen_whole != offsets.end() ? seen_whole->second + one->view_offs : size;
        size += seen_whole != offsets.end() ? 0 : GGML_PAD(ggml_nbytes(one), alignment);
    }
    if (mirror == nullptr || ggml_backend_buffer_get_size(mirror.get()) < size + alignment) {
        ggml_backend_synchronize(compute); // it may read what was there
        ggml_backend_buffer_type_t pinned = ggml_backend_dev_host_buffer_type(inner);
        mirror.reset(ggml_backend_buft_alloc_buffer(pinned != nullptr ? pinned : ggml_backend_cpu_buffer_type(), size + alignment));
        if (mirror == nullptr) {
            throw failure{NBM_NO_MEMORY, std::to_string(size + alignment) + " bytes for the CPU's part of the experts were refused"};
        }
    }
    uint8_t * base = (uint8_t *) GGML_PAD((uintptr_t) ggml_backend_buffer_get_base(mirror.get()), alignment);
    mirrored.clear();
    for (const auto & [tensor, offset] : offsets) {
        mirrored[tensor] = base + offset;
    }
}

// The chain's own tensors stand for their last rows meanwhile.
ggml_status linked_experts::compute_linked(ggml_backend_t compute, pieces & given, ggml_cgraph * graph, const chain & what, int64_t others, bool same) const {
    std::vector<std::pair<ggml_tensor *, int>> cut = {{what.ids, 0}}; // and in which dimension its experts are
    for (ggml_tensor * one : what.given) {
        if (one->ne[1] == what.ids->ne[0]) {
            cut.emplace_back(one, 1);
        }
    }
    uint64_t read = 0;
    for (int node = what.begin; node < what.end; node++) {
        cut.emplace_back(graph->nodes[node], 1);
        read += is_product(graph->nodes[node]) ? (uint64_t) linked * graph->nodes[node]->src[0]->nb[2] : 0;
    }
    for (auto & [tensor, dimension] : cut) {
        tensor->ne[dimension] -= others;
        tensor->data = (uint8_t *) tensor->data + others * tensor->nb[dimension];
    }
    const ggml_status status = given.compute(compute, graph, what.begin, what.end, same);
    for (auto & [tensor, dimension] : cut) {
        tensor->ne[dimension] += others;
        tensor->data = (uint8_t *) tensor->data - others * tensor->nb[dimension];
    }
    link_bytes += read;
    return status;
}

ggml_status linked_experts::compute_others(const ggml_cgraph * graph, const chain & what, int64_t others) {
    std::unordered_map<const ggml_tensor *, ggml_tensor *> copy_of;
    copies.clear();
    auto add = [&](const ggml_tensor * tensor, int dimension) -> ggml_tensor & {
        copies.push_back(*tensor);
        ggml_tensor & copy = copies.back();
        copy.buffer   = mirror.get();
        copy.data     = mirrored.at(tensor);
        copy.view_src = nullptr;
        copy.ne[dimension] = std::min(copy.ne[dimension], others);
        copy_of[tensor] = &copy;
        return copy;
    };
    add(what.ids, 0);
    for (const ggml_tensor * one : what.given) {
        add(one, 1);
    }
    part->n_nodes = 0;
    for (int node = what.begin; node < what.end; node++) {
        ggml_tensor & copy = add(graph->nodes[node], 1);
        for (ggml_tensor *& source : copy.src) {
            const auto copied = copy_of.find(source);
            source = copied != copy_of.end() ? copied->second : source;
        }
        part->nodes[part->n_nodes++] = &copy;
    }
    return ggml_backend_graph_compute(cpu.get(), part);
}

} // namespace nbm
