// One wrapped device of one model: everything that streaming holds, in one owner.
#pragma once

#include "dispatch.h"
#include "experts.h"
#include "nbm.h"

#include "ggml-backend-impl.h"

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace nbm {
// What llama.cpp asks whether a pass shall end early.
struct stop_request {
    ggml_abort_callback asked = nullptr;
    void              * data  = nullptr;

    bool made() const { return asked != nullptr && asked(data); }
};

// A stream that a wrapped device computes in.
struct stream {
    const ggml_backend_t                  compute; // an instance of the device
    const std::unique_ptr<linked_experts> experts; // where it has some
    pieces                                given;
    stop_request                          stop;
};
} // namespace nbm

struct nbm_device {
    nbm_device(ggml_backend_dev_t inner, const nbm_options & options);
    ~nbm_device();
    nbm_device(const nbm_device &) = delete;
    nbm_device & operator=(const nbm_device &) = delete;

    // Throws nbm::failure.
    void bind_file(const ggml_tensor * tensor, const char * path, uint64_t offset);
    void commit();
    void filled(const ggml_tensor * tensor, uint64_t bytes);
    void start();

    void * tensor_bytes(const ggml_tensor * tensor) const;

    // A pass of so many tokens is next.
    void expect(uint32_t tokens);

    // Computes a graph in a stream of this device, bringing what it needs. Asks between groups whether to stop. Throws nbm::failure.
    ggml_status run(nbm::stream & stream, ggml_cgraph * graph);

    // Whether the device, and not the CPU, computes an operation: one with shared weights only for a large batch, or for experts that it can read where they rest.
    bool takes(const ggml_tensor * op) const;

    // Whether there are linked experts: not where the store could not be pinned.
    bool links() const { return options.linked_experts > 0 && reads_store; }

    void fail(const std::string & text);

    const ggml_backend_dev_t inner;
    const nbm_options        options;
    const std::string        name;
    const std::string        shared_name;
    ggml_backend_device      handle;
    ggml_backend_buffer_type stream_buft;
    ggml_backend_buffer_type shared_buft;

    std::vector<nbm::streamed_tensor> tensors; // of both buffer types, until commit
    mutable std::mutex                error_lock;
    std::string                       last_error;
    std::atomic<ggml_threadpool *>    threads{nullptr}; // the CPU's, in contexts to come
    std::atomic<uint64_t>             link_bytes{0};

    // After commit.
    bool                            committed = false;
    std::vector<nbm::group>         groups;
    nbm::ring_memory                ring;
    std::unique_ptr<nbm::arena>     ring_pages; // its memory where files are read straight into it
    std::unique_ptr<nbm::arena>     ram;
    std::unique_ptr<nbm::transport> transport;
    std::unique_ptr<nbm::courier>   courier; // null where the device has none
    uint64_t                        file_bytes = 0;
    bool                            brings_shared = false; // whether there are shared groups that travel, for large batches

private:
    // How many graphs of one pass use a group: known once another group was needed after it.
    struct usage {
        int graphs = 0;
        int known  = 0;
    };

    int         group_of(const ggml_tensor * node) const;
    bool        is_large(const ggml_tensor * op) const; // of so many tokens that the device computes with shared weights too
    void        make_rooms();
    void        place_tensors();
    void        allocate_ring();
    bool        travels(const nbm::group & one) const { return !one.shared || options.shared_batch > 0; }
    void        prime();
    int         after(int group, bool with_shared) const;
    void        ask_for(int group, bool with_shared);
    void        note_pass(bool large_next);
    void        foresee(bool with_shared);
    void        forget();
    void        leave();
    void        hold(int group, ggml_backend_t compute, bool with_shared);
    ggml_status compute_nodes(nbm::stream & stream, ggml_cgraph * graph, int from, int to) const;

    nbm::files                                                   files;
    ggml_context                                               * views         = nullptr;
    ggml_backend_buffer_t                                        shared_buffer = nullptr; // the arena, as the CPU sees it
    std::unordered_map<const ggml_tensor *, std::pair<int, int>> place_by_tensor;         // its group, and its number in it
    std::vector<std::atomic<int64_t>>                            lacking;                 // bytes of each group that are still to be filled
    bool                                                         reads_store = false; // with the device's kernels
    std::mutex                                                   computing; // contexts of one model take turns
    bool                                                         primed = false;
    std::deque<int>                                              coming; // groups that were asked for, in the order in which they will be needed
    bool                                                         foresees_shared = false; // whether shared groups are among them
    bool                                                         large_follows   = false; // a large batch came after the last one, as of a text that takes several
    std::vector<usage>                                           usages;
    std::vector<bool>                                            used[2]; // by the present pass, of groups that came without and with the shared ones
    std::vector<bool>                                            idle[2]; // what the last pass of either kind did without: nobody foresees it
    int                                                          held   = -1;      // the group that computing has awaited and not left
    bool                                                         held_with_shared = false; // which of its places it has
    int                                                          left   = -1;      // the last one that it left
    ggml_backend_t                                               holder = nullptr; // for whose computing it is held
};

namespace nbm {
// The tables that make an nbm_device a ggml device, in backend.cpp.
ggml_backend_device      make_handle(nbm_device * device);
ggml_backend_buffer_type make_stream_buft(nbm_device * device);
ggml_backend_buffer_type make_shared_buft(nbm_device * device);
} // namespace nbm
