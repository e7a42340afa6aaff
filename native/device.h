// One wrapped device of one model: everything that streaming holds, in one owner.
#pragma once

#include "dispatch.h"
#include "nbm.h"

#include "ggml-backend-impl.h"

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

struct nbm_device {
    nbm_device(ggml_backend_dev_t inner, const nbm_options & options);
    ~nbm_device();
    nbm_device(const nbm_device &) = delete;
    nbm_device & operator=(const nbm_device &) = delete;

    // Throws nbm::failure.
    void bind_file(const ggml_tensor * tensor, const char * path, uint64_t offset);
    void commit();
    void start();

    void * tensor_bytes(const ggml_tensor * tensor) const;

    // Computes a graph with `compute`, an instance of the wrapped device, streaming what it needs. Throws nbm::failure.
    ggml_status run(ggml_backend_t compute, ggml_cgraph * graph);

    void fail(const std::string & text);

    const ggml_backend_dev_t inner;
    const nbm_options        options;
    const std::string        name;
    ggml_backend_device      handle;
    ggml_backend_buffer_type stream_buft;

    std::vector<nbm::streamed_tensor> tensors; // of the stream buffer type, until commit
    mutable std::mutex                error_lock;
    std::string                       last_error;

    // After commit.
    bool                            committed = false;
    std::vector<nbm::group>         groups;
    std::vector<nbm::slot>          slots;
    std::unique_ptr<nbm::arena>     ram;
    std::unique_ptr<nbm::transport> transport;
    uint64_t                        file_bytes = 0;
    size_t                          slot_bytes = 0;

private:
    int  group_of(const ggml_tensor * node) const;
    void allocate_slots(size_t size);
    void prime();

    nbm::files                                   files;
    ggml_context                               * views = nullptr;
    std::unordered_map<const ggml_tensor *, int> group_by_tensor;
    std::unordered_set<ggml_backend_buffer_t>    slot_buffers;
    std::mutex                                   computing; // contexts of one model take turns
    bool                                         primed = false;
};

namespace nbm {
// The tables that make an nbm_device a ggml device, in backend.cpp.
ggml_backend_device      make_handle(nbm_device * device);
ggml_backend_buffer_type make_stream_buft(nbm_device * device);
} // namespace nbm
