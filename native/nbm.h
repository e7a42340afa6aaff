// The C ABI of the streaming plug-in: the only header that anything outside native/ knows.
//
// An nbm_device wraps one ggml device (CPU, CUDA, Vulkan, ...) for one model. llama.cpp is given the wrapping device in place of the real one and two
// buffer types for the weights that shall not stay on it. Weights of the "stream" type keep their bytes in a store, pinned memory or ranges of files, and
// pass through a small ring of the device's memory while the graph is computed. Weights of the "shared" type rest in the same pinned memory: the CPU
// computes with them there, and batches of nbm_options.shared_batch tokens or more are computed by the device, to which they are streamed like the others. Of one token's experts
// the device can compute some there as well.
// Order of calls:
//
//     nbm_device_create -> build the model on nbm_device_handle and the two buffer types -> nbm_device_bind_file for what stays on disk
//     -> nbm_device_commit -> fill nbm_device_tensor_bytes for the rest, and tell nbm_device_filled -> nbm_device_start -> contexts, any number -> free contexts and model
//     -> nbm_device_destroy
//
// Every call that can fail returns a status and writes one line of text. Nothing aborts or throws across this boundary.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#  define NBM_API __declspec(dllexport)
#else
#  define NBM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_backend_device;
struct ggml_backend_buffer_type;
struct ggml_tensor;
struct ggml_threadpool;

typedef struct nbm_device nbm_device;

typedef enum nbm_status {
    NBM_OK        = 0,
    NBM_INVALID   = 1, // a call out of order, or an argument that cannot be
    NBM_NO_MEMORY = 2, // the device or the host refused memory
    NBM_IO        = 3, // a file cannot be opened or read
} nbm_status;

typedef struct nbm_options {
    uint64_t ring_bytes;     // of the device's memory; what has no use for a ring gets none
    uint32_t allow_unpinned; // go on with ordinary memory where the device's pinned kind cannot be had
    uint32_t computes;       // 0: only a place for weights and caches; the scheduler computes with them as with any others in that memory
    uint32_t shared_batch;   // tokens from which the device computes with shared weights; 0 for never
    uint32_t linked_experts; // of the experts that a token uses, how many the device computes with shared weights that it reads where they rest; the CPU computes the others
    struct ggml_backend_device * pins_for; // the device that the host memory is pinned for; NULL for the wrapped one
    struct ggml_backend_device * cpu;      // computes the others; NULL without linked experts
} nbm_options;

// Since the start.
typedef struct nbm_stats {
    uint64_t groups;          // groups of tensors that take turns in the ring
    uint64_t ring_bytes;      // device memory of the ring
    uint64_t ram_bytes;       // host memory of the store
    uint64_t file_bytes;      // bytes of the store that stay in files
    uint64_t staging_bytes;   // host memory through which file bytes pass; none where they are read straight into the ring
    uint64_t pinned;          // 1 where all host memory of the store is the device's pinned kind
    uint64_t loads;           // groups brought into the ring
    uint64_t bytes_from_ram;
    uint64_t bytes_from_file;
    uint64_t load_ns;         // time in which groups came, as far as it is over
    uint64_t wait_ns;         // time that computing stood still for a group
    uint64_t timed;           // 1 where the device tells the two times, by its own clock or, where it is the host, by the host's; they are 0 elsewhere
    uint64_t carried;         // activations brought from host memory without the device's copy engine
    uint64_t link_bytes;      // of linked experts' weights that the device read in host memory
} nbm_stats;

// One group, since the start.
typedef struct nbm_group_stats {
    char     name[64];
    uint64_t shared;          // 1 where the CPU computes it in place except for large batches
    uint64_t ram_bytes;       // of its tensors, where they rest
    uint64_t file_bytes;
    uint64_t loads;           // of all of it
    uint64_t load_ns;         // time in which it came, as far as it is over
    uint64_t timed_bytes;     // that came in this time
    uint64_t peak;            // bytes per second of the quickest piece of a MiB or more; 0 where there was none
    uint64_t wait_ns;
} nbm_group_stats;

NBM_API nbm_status nbm_device_create(struct ggml_backend_device * inner, const nbm_options * options, nbm_device ** device, char * error, size_t error_size);

// What llama.cpp gets. All belong to the nbm_device.
NBM_API struct ggml_backend_device      * nbm_device_handle(nbm_device * device);
NBM_API struct ggml_backend_buffer_type * nbm_device_stream_buft(nbm_device * device);
NBM_API struct ggml_backend_buffer_type * nbm_device_shared_buft(nbm_device * device);

// Whether a device can have linked experts: its kernels read host memory that is pinned for it.
NBM_API uint32_t nbm_reads_host_memory(struct ggml_backend_device * device);

// The threads that the CPU computes with, a ggml_threadpool, in contexts that are made from now on: where it is the wrapped device, and for linked experts. NULL for threads that
// come and go with each graph. They must outlive those contexts, and may serve them as llama.cpp's own too.
NBM_API void nbm_device_set_threads(nbm_device * device, struct ggml_threadpool * threads);

// The bytes of a tensor in the stream buffer type (not the shared one) stand at this place of a file, in the layout that the tensor has. The file must not change afterwards.
NBM_API nbm_status nbm_device_bind_file(nbm_device * device, const struct ggml_tensor * tensor, const char * path, uint64_t offset, char * error, size_t error_size);

// Groups the tensors by layer, and the shared ones of a layer by matrix, allocates the ring and the host store, and points every tensor to its place. NBM_INVALID where the ring
// cannot hold the largest group. Files are read straight into the ring of a CPU, in blocks of 4096 bytes: there every tensor takes whole ones and one more, if any comes from a file.
NBM_API nbm_status nbm_device_commit(nbm_device * device, char * error, size_t error_size);

// Where to write a tensor's bytes before the start; NULL for one that is bound to a file or does not stream.
NBM_API void * nbm_device_tensor_bytes(nbm_device * device, const struct ggml_tensor * tensor);

// So many bytes of a tensor that nbm_device_tensor_bytes has are written, on any thread. What is needed together and has all of its bytes is pinned for the device, while other
// threads fill the rest. NBM_NO_MEMORY where that is refused and has to be.
NBM_API nbm_status nbm_device_filled(nbm_device * device, const struct ggml_tensor * tensor, uint64_t bytes, char * error, size_t error_size);

// Begins to bring the first groups. NBM_INVALID where bytes are still to be filled.
NBM_API nbm_status nbm_device_start(nbm_device * device, char * error, size_t error_size);

// A pass of so many tokens is next, on the thread that computes it: what a large batch needs first begins to come. Only a hint, and what fails here fails again when it is needed.
NBM_API void nbm_device_expect(nbm_device * device, uint32_t tokens);

// The last failure while computing, empty where there was none. llama_decode reports only that the graph failed.
NBM_API void nbm_device_last_error(nbm_device * device, char * error, size_t error_size);

NBM_API void nbm_device_get_stats(nbm_device * device, nbm_stats * stats);

// Groups are numbered from 0 in the order in which a token passes them.
NBM_API nbm_status nbm_device_get_group_stats(nbm_device * device, uint64_t group, nbm_group_stats * stats, char * error, size_t error_size);

// After the model and its contexts are freed. Gives back all device, host and file resources.
NBM_API void nbm_device_destroy(nbm_device * device);

// What a context of llama.cpp and its model hold in one type of buffers, in bytes. Of a model that was made without allocating: what they would hold.
typedef struct nbm_memory {
    struct ggml_backend_buffer_type * type;
    uint64_t weights;
    uint64_t cache;
    uint64_t compute;
} nbm_memory;

// `breakdown` is the address of llama_get_memory_breakdown(const llama_context *), which llama.cpp exports in C++ only. Writes at most `capacity` entries; `count` is how many there are.
NBM_API nbm_status nbm_memory_breakdown(const void * breakdown, const void * context, nbm_memory * entries, size_t capacity, size_t * count, char * error, size_t error_size);

// A file as memory that is only read. Others may rename, delete and cut it meanwhile: what cannot be read any more reads as zeros, and the mapping is damaged from then on.
// The process's handler of SIGBUS is replaced once, by one that calls its predecessor for all other memory. NBM_INVALID where files are not mapped.
typedef struct nbm_mapping nbm_mapping;
NBM_API nbm_status nbm_mapping_create(const char * path, nbm_mapping ** mapping, const void ** memory, uint64_t * size, char * error, size_t error_size);

// Brings a part into memory, on any thread; NBM_IO where it cannot be read.
NBM_API nbm_status nbm_mapping_fill(const nbm_mapping * mapping, uint64_t offset, uint64_t size, char * error, size_t error_size);

// Whether something was read that was not there.
NBM_API uint32_t nbm_mapping_is_damaged(const nbm_mapping * mapping);

NBM_API void nbm_mapping_destroy(nbm_mapping * mapping);

// Raised with every change of this header that callers of the one before it would not survive, or miss a function of.
#define NBM_ABI_VERSION 2
NBM_API uint32_t nbm_abi_version(void);

// sizeof nbm_options, nbm_stats and nbm_group_stats, for the caller's layout check.
NBM_API void nbm_abi_sizes(uint32_t * options_size, uint32_t * stats_size, uint32_t * group_stats_size);

#ifdef __cplusplus
}
#endif
