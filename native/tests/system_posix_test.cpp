// Disks that fail and memory that is refused, where a test can stand before the C library and set limits.
#include "tests.h"

#include <atomic>
#include <cerrno>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

enum class disk { sound, stuttering, broken };

std::atomic<disk>     condition{disk::sound};
std::atomic<unsigned> reads{0};

constexpr size_t block = 4096; // what a direct read brings at least

} // namespace

// Stands before the C library's, for the plug-in as well.
extern "C" __attribute__((visibility("default"))) ssize_t pread(int file, void * memory, size_t size, off_t offset) {
    const unsigned number = reads++;
    if (condition == disk::broken) {
        errno = EIO;
        return -1;
    }
    if (condition == disk::stuttering && number % 3 == 1) {
        errno = EINTR;
        return -1;
    }
    const size_t part = condition == disk::stuttering && size > block ? (size / 2 + block - 1) / block * block : size;
    return syscall(SYS_pread64, file, memory, part, offset);
}

namespace {

void short_reads() {
    const auto  expected = resident();
    streamed    stream(2);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    condition = disk::stuttering;
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    const unsigned before  = reads;
    require(compute(model, backend) == expected, "what came in pieces differs");
    require(reads - before > model.tensors.size(), "no read was cut short");
    condition = disk::sound;
    ggml_backend_free(backend);
}

void failing_disk() {
    const auto  expected = resident();
    streamed    stream(2);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    require(compute(model, backend) == expected, "the sound disk");
    condition = disk::broken;
    compute(model, backend, GGML_STATUS_FAILED);
    condition = disk::sound;
    nbm_device_last_error(stream.device, stream.error, sizeof stream.error);
    const std::string told = stream.error;
    require(told.find(file.path) != std::string::npos && told.find(std::strerror(EIO)) != std::string::npos, "the error names file and reason: " + told);
    require(compute(model, backend) == expected, "after the disk is sound again");
    ggml_backend_free(backend);
}

// Bytes of address space that this process has.
rlim_t address_space() {
    std::ifstream sizes("/proc/self/statm");
    rlim_t        pages = 0;
    sizes >> pages;
    return pages * (rlim_t) sysconf(_SC_PAGESIZE);
}

void refused_store() {
    const int64_t  size = (int64_t) 1 << 30;
    streamed       stream(2);
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 2, nullptr, true});
    ggml_tensor  * tensor  = ggml_new_tensor_1d(context, GGML_TYPE_I8, size);
    ggml_set_name(tensor, "blk.0.up.weight");
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, nbm_device_stream_buft(stream.device));
    require(buffer != nullptr, "a place for the weights costs nothing before the commit");
    rlimit usual;
    getrlimit(RLIMIT_AS, &usual);
    const rlimit tight = {address_space() + size / 2, usual.rlim_max};
    setrlimit(RLIMIT_AS, &tight);
    // An emulator keeps its own limit, and the memory can be had.
    rlimit kept;
    getrlimit(RLIMIT_AS, &kept);
    const bool limited = kept.rlim_cur == tight.rlim_cur;
    const nbm_status status = nbm_device_commit(stream.device, stream.error, sizeof stream.error);
    setrlimit(RLIMIT_AS, &usual);
    require(status == NBM_NO_MEMORY || !limited, "a store beyond the process's limit");
    require(std::strstr(stream.error, std::to_string(size).c_str()) != nullptr || !limited, std::string("the error tells the bytes: ") + stream.error);
    ggml_backend_buffer_free(buffer);
    ggml_free(context);
}

} // namespace

std::vector<test> system_tests() {
    return {
        {"reads that are interrupted or bring less go on", short_reads},
        {"a disk that fails is told, and recovered from", failing_disk},
        {"a store that cannot be had is told", refused_store},
    };
}
