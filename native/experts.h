// Linked experts: of the experts that one token uses the device computes some, with weights that it reads over its link where they rest in host memory, and the CPU computes the
// others at the same time.
#pragma once

#include "dispatch.h"
#include "pieces.h"

#include <atomic>
#include <deque>
#include <unordered_map>
#include <vector>

namespace nbm {

// Whether it computes with one token's experts.
bool is_linkable(const ggml_tensor * op);

struct release {
    void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
    void operator()(ggml_backend_event_t event) const { ggml_backend_event_free(event); }
    void operator()(ggml_context * context) const { ggml_free(context); }
};

// How one computing stream computes graphs whose experts have weights of the shared type. Used by one thread at a time.
class linked_experts {
public:
    // The device takes the last `linked` of the experts that a token uses, and the CPU the others. `link_bytes` counts what the device reads. Throws nbm::failure.
    linked_experts(ggml_backend_dev_t inner, ggml_backend_dev_t cpu, const ggml_backend_buffer_type * shared, int linked, nbm::courier * courier, std::atomic<uint64_t> & link_bytes);

    // The CPU's stream, for its threads.
    ggml_backend_t others() const { return cpu.get(); }

    // Computes a piece of a graph with `compute`, an instance of the device that is given pieces through `given`; `same` is meant as there. Throws nbm::failure.
    ggml_status compute(ggml_backend_t compute, pieces & given, ggml_cgraph * graph, int from, int to, bool same);

private:
    // Nodes that follow each other and of which every row belongs to one expert: products, and what is between them.
    struct chain {
        int                        begin = 0;
        int                        end   = 0; // past the last product
        ggml_tensor              * ids   = nullptr;
        std::vector<ggml_tensor *> given; // to products, from outside
    };

    bool        is_shared(const ggml_tensor * tensor) const;
    bool        is_product(const ggml_tensor * node) const;
    chain       chain_from(const ggml_cgraph * graph, int begin, int end) const;
    bool        belongs(const ggml_cgraph * graph, int node, chain & to) const;
    void        make_mirror(ggml_backend_t compute, const ggml_cgraph * graph, const chain & what);
    ggml_status divide(ggml_backend_t compute, pieces & given, ggml_cgraph * graph, const chain & what, bool same);
    ggml_status compute_linked(ggml_backend_t compute, pieces & given, ggml_cgraph * graph, const chain & what, int64_t others, bool same) const;
    ggml_status compute_others(const ggml_cgraph * graph, const chain & what, int64_t others);

    const ggml_backend_dev_t                     inner;
    const ggml_backend_buffer_type             * shared;
    const int                                    linked;
    nbm::courier                               * courier;
    std::atomic<uint64_t>                      & link_bytes;
    std::unique_ptr<ggml_backend, release>       cpu;
    std::unique_ptr<ggml_backend_event, release> arrived; // what the CPU computes with; null where the device has no events, and has computed when it returns
    std::unique_ptr<ggml_context, release>       memory;  // of the CPU's graph
    ggml_cgraph                                * part = nullptr; // of a chain, the CPU's
    std::deque<ggml_tensor>                      copies;         // its nodes, and what is given to them

    // Host memory for a chain's tensors, each as large as on the device.
    std::unique_ptr<ggml_backend_buffer, release>       mirror;
    std::unordered_map<const ggml_tensor *, uint8_t *>  mirrored;
};

} // namespace nbm
