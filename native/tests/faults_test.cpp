// What goes wrong while weights stream: damaged files, failing disks, memory that is refused.
#include "tests.h"

#include "ggml-backend-impl.h"

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

void truncated_file() {
    const auto  expected = resident();
    streamed    stream(2);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    require(compute(model, backend) == expected, "the whole file");
    const auto size = std::filesystem::file_size(file.path);
    std::filesystem::resize_file(file.path, size / 2);
    compute(model, backend, GGML_STATUS_FAILED);
    nbm_device_last_error(stream.device, stream.error, sizeof stream.error);
    require(std::strstr(stream.error, file.path.c_str()) != nullptr, std::string("the error names the file: ") + stream.error);
    { weight_file again(model); std::filesystem::copy_file(again.path, file.path, std::filesystem::copy_options::overwrite_existing); }
    require(compute(model, backend) == expected, "after the file is whole again");
    ggml_backend_free(backend);
}

void missing_file() {
    streamed stream(2);
    chain    model(nbm_device_stream_buft(stream.device));
    require(nbm_device_bind_file(stream.device, model.tensors[0], "/nonexistent/weights", 0, stream.error, sizeof stream.error) == NBM_IO, "a missing file is an I/O error");
    require(std::strstr(stream.error, "/nonexistent/weights") != nullptr, stream.error);
}

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

// The CPU, in a device that has no memory.
void refusing_device() {
    static ggml_backend_buffer_type none = *ggml_backend_dev_buffer_type(cpu());
    none.iface.alloc_buffer = [](ggml_backend_buffer_type_t, size_t) -> ggml_backend_buffer_t { return nullptr; };
    ggml_backend_device full = *cpu();
    full.iface.get_buffer_type = [](ggml_backend_dev_t) { return &none; };
    none.device = &full;
    streamed stream(3, 0, &full);
    chain    model(nbm_device_stream_buft(stream.device));
    require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_NO_MEMORY, "a ring on a full device");
    require(std::strstr(stream.error, std::to_string(ring_of(3)).c_str()) != nullptr, std::string("the error tells the bytes: ") + stream.error);
}

// The CPU, in a device that cannot be told to stop.
void stopped_pass() {
    static ggml_backend_reg    deaf_reg = *ggml_backend_dev_backend_reg(cpu());
    static ggml_backend_device deaf     = *cpu();
    deaf_reg.iface.get_proc_address = [](ggml_backend_reg_t, const char * name) -> void * {
        return std::strcmp(name, "ggml_backend_set_n_threads") == 0 ? ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu()), name) : nullptr;
    };
    deaf.reg                = &deaf_reg;
    deaf.iface.init_backend = [](ggml_backend_dev_t, const char * params) {
        ggml_backend_t backend = ggml_backend_dev_init(cpu(), params);
        backend->device        = &deaf;
        return backend;
    };
    const auto  expected = resident();
    streamed    stream(2, 0, &deaf);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    auto set = (ggml_backend_set_abort_callback_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(nbm_device_handle(stream.device)), "ggml_backend_set_abort_callback");
    require(set != nullptr, "the device takes a request to stop");
    require(compute(model, backend) == expected, "a pass that nobody stops");
    nbm_stats before, after;
    nbm_device_get_stats(stream.device, &before);
    int groups_left = 3;
    set(backend, [](void * left) { return --*(int *) left < 0; }, &groups_left);
    compute(model, backend, GGML_STATUS_ABORTED);
    nbm_device_get_stats(stream.device, &after);
    require(after.loads - before.loads <= 3 + 2, "a stopped pass brought " + std::to_string(after.loads - before.loads) + " groups");
    set(backend, nullptr, nullptr);
    require(compute(model, backend) == expected, "the pass after a stopped one");
    ggml_backend_free(backend);
}

} // namespace

std::vector<test> fault_tests() {
    return {
        {"a file cut short fails and recovers", truncated_file},
        {"a missing file is told", missing_file},
        {"reads that are interrupted or bring less go on", short_reads},
        {"a disk that fails is told, and recovered from", failing_disk},
        {"a store that cannot be had is told", refused_store},
        {"a device that refuses memory is told", refusing_device},
        {"a pass ends early between two groups", stopped_pass},
    };
}
