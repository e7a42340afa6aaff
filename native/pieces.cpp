#include "pieces.h"

#include "ggml-backend-impl.h"

#include <algorithm>

namespace nbm {

constexpr int64_t  large   = 64; // batches from here on have one name: nobody repeats one so soon that a record of it pays
constexpr int      bits    = 16; // of a node's number
constexpr uint64_t a_piece = 1ull << 63;

int64_t batch_of(const ggml_tensor * op) {
    return op->op == GGML_OP_MUL_MAT_ID || op->op == GGML_OP_ADD_ID ? op->ne[2] : op->op == GGML_OP_MUL_MAT ? op->ne[1] : ggml_nrows(op);
}

// Pieces of one graph are not each other, nor another graph; 0, of which nothing is known, where there are too many to tell.
static uint64_t uid_of(const ggml_cgraph * graph, int from, int to) {
    if (from == 0 && to == graph->n_nodes) {
        return graph->uid;
    }
    const bool tells = graph->uid != 0 && graph->uid < 1ull << (63 - 2 * bits) && to < 1 << bits;
    return tells ? a_piece | graph->uid << (2 * bits) | (uint64_t) from << bits | (uint64_t) to : 0;
}

ggml_status pieces::compute(ggml_backend_t compute, ggml_cgraph * graph, int from, int to, bool same) {
    if (from >= to) {
        return GGML_STATUS_SUCCESS;
    }
    ggml_tensor ** first   = graph->nodes + from, ** end = graph->nodes + to;
    ggml_tensor ** product = std::find_if(first, end, [](const ggml_tensor * node) { return node->op == GGML_OP_MUL_MAT; });
    nodes.assign(1, name_of(*first, std::min(large, batch_of(product != end ? *product : *first))));
    nodes.insert(nodes.end(), first, end);
    ggml_cgraph piece = ggml_graph_view(graph, from, to);
    piece.nodes   = nodes.data();
    piece.n_nodes = (int) nodes.size();
    piece.uid     = same ? uid_of(graph, from, to) : 0;
    return compute->iface.graph_compute(compute, &piece);
}

ggml_tensor * pieces::name_of(const ggml_tensor * first, int64_t batch) {
    ggml_tensor & name = names[{first, batch}];
    if (name.ne[0] == 0) {
        name.type = GGML_TYPE_F32;
        std::fill_n(name.ne, GGML_MAX_DIMS, 1);
        std::fill_n(name.nb, GGML_MAX_DIMS, sizeof(float));
    }
    return &name;
}

} // namespace nbm
