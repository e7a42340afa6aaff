// Pieces of graphs, told apart for devices that record what they are given. ggml-cuda records a graph that comes twice in a row under the address of its first node, and plays it from
// then on: a token's graph and a prompt's, which begin with the same node, would take each other's place, and a few tokens after every prompt would be computed node by node.
#pragma once

#include "ggml-backend.h"
#include "ggml-impl.h"

#include <map>
#include <utility>
#include <vector>

namespace nbm {

// The tokens that a node computes for.
int64_t batch_of(const ggml_tensor * op);

// Those that one computing stream has been given. Used by one thread at a time.
class pieces {
public:
    // Computes a graph's nodes from one to before another. `same` unless something stands in for a node's sources meanwhile: the graph is the one that had its uid before.
    ggml_status compute(ggml_backend_t compute, ggml_cgraph * graph, int from, int to, bool same = true);

private:
    ggml_tensor * name_of(const ggml_tensor * first, int64_t batch);

    std::map<std::pair<const ggml_tensor *, int64_t>, ggml_tensor> names; // nodes without an operation
    std::vector<ggml_tensor *>                                     nodes;
};

} // namespace nbm
