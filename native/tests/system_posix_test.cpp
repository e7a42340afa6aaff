// Disks that fail and memory that is refused, where a test can stand before the C library and set limits.
#include "tests.h"

#include <atomic>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

enum class disk { sound, stuttering, slow, broken };

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
    if (condition == disk::slow) {
        usleep(number % 7 * 100);
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

// Passes that leave out layers: what was foreseen is dropped while it is read, and its place is another's.
void dropped_loads(double ring) {
    chain          here(ggml_backend_dev_buffer_type(cpu()));
    ggml_backend_t plain = start(cpu());
    for (size_t i = 0; i < here.tensors.size(); i++) {
        auto bytes = here.bytes_of(i);
        ggml_backend_tensor_set(here.tensors[i], bytes.data(), 0, ggml_nbytes(here.tensors[i]));
    }
    streamed    stream(ring, 0, cpu(), true);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    condition = disk::slow;
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    bool           same    = true;
    for (int pass = 0; pass < 40; pass++) {
        const int step = 1 + pass * pass % 5;
        same = same && compute(model, backend, GGML_STATUS_SUCCESS, rows, step) == compute(here, plain, GGML_STATUS_SUCCESS, rows, step);
    }
    condition = disk::sound;
    require(same, "a pass that leaves out layers differs from the resident one");
    ggml_backend_free(backend);
    ggml_backend_free(plain);
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

struct mapped_file : temporary_file {
    static constexpr size_t size = 5 * block + 7;

    const uint8_t * memory  = nullptr;
    nbm_mapping   * mapping = nullptr;
    char            error[512] = "";

    mapped_file() {
        std::ofstream(path, std::ios::binary).write(std::string(size, 'w').data(), (std::streamsize) size);
        uint64_t told = 0;
        require(nbm_mapping_create(path.c_str(), &mapping, (const void **) &memory, &told, error, sizeof error) == NBM_OK, error);
        require(told == size, "a mapping has the file's size");
    }
    ~mapped_file() { nbm_mapping_destroy(mapping); }
};

void mapping_cut_short() {
    mapped_file file, sound;
    require(nbm_mapping_fill(file.mapping, 1, file.size - 1, file.error, sizeof file.error) == NBM_OK, file.error);
    require(nbm_mapping_fill(file.mapping, 1, file.size, file.error, sizeof file.error) == NBM_INVALID, "a part beyond the file");
    require(std::strstr(file.error, std::to_string(file.size + 1).c_str()) != nullptr, std::string("the error tells the bytes: ") + file.error);
    require(std::string((const char *) file.memory, file.size) == std::string(file.size, 'w') && nbm_mapping_is_damaged(file.mapping) == 0, "the whole file");
    std::filesystem::resize_file(file.path, 2 * block);
    require(file.memory[2 * block - 1] == 'w' && nbm_mapping_is_damaged(file.mapping) == 0, "what is left of it");
    require(file.memory[3 * block] == 0 && nbm_mapping_is_damaged(file.mapping) == 1, "what is gone reads as zeros, and the mapping is damaged");
    require(file.memory[file.size - 1] == 0 && file.memory[0] == 'w', "as all behind it, and nothing before it");
    require(sound.memory[3 * block] == 'w' && nbm_mapping_is_damaged(sound.mapping) == 0, "another file's mapping is sound");
}

void mapping_missing() {
    nbm_mapping * mapping = nullptr;
    const void  * memory;
    uint64_t      size;
    char          error[512];
    require(nbm_mapping_create("/nonexistent/weights", &mapping, &memory, &size, error, sizeof error) == NBM_IO && mapping == nullptr, "a missing file is an I/O error");
    require(std::strstr(error, "/nonexistent/weights") != nullptr, error);
}

void mapping_replaced() {
    mapped_file file;
    std::filesystem::remove(file.path);
    std::ofstream(file.path, std::ios::binary).write(std::string(file.size, 'x').data(), (std::streamsize) file.size);
    require(file.memory[file.size - 1] == 'w' && nbm_mapping_is_damaged(file.mapping) == 0, "a file that is replaced stays what it was");
}

sigjmp_buf recovered;

// The process's own handler is asked about memory that is not a mapping's. It must be there before the first mapping.
void foreign_bus_error() {
    temporary_file file;
    std::ofstream(file.path, std::ios::binary).write(std::string(2 * block, 'w').data(), (std::streamsize) (2 * block));
    const int descriptor = open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
    auto *    memory     = (volatile uint8_t *) mmap(nullptr, 2 * block, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    struct sigaction own = {};
    own.sa_handler = [](int) { siglongjmp(recovered, 1); };
    sigaction(SIGBUS, &own, nullptr);
    mapped_file beside;
    std::filesystem::resize_file(file.path, block);
    const bool told = sigsetjmp(recovered, 1) != 0 || memory[block] != 0;
    munmap((void *) memory, 2 * block);
    require(told, "the handler before ours was not asked");
    require(nbm_mapping_is_damaged(beside.mapping) == 0, "our mapping is sound");
}

} // namespace

std::vector<test> system_tests() {
    return {
        {"reads that are interrupted or bring less go on", short_reads},
        {"what is dropped while it is read spoils nothing in a ring of one layer", [] { dropped_loads(1); }},
        {"what is dropped while it is read spoils nothing in a ring of two layers", [] { dropped_loads(2.2); }},
        {"what is dropped while it is read spoils nothing in a ring of five layers", [] { dropped_loads(5); }},
        {"a disk that fails is told, and recovered from", failing_disk},
        {"a store that cannot be had is told", refused_store},
        {"a bus error elsewhere is for the handler before ours", foreign_bus_error},
        {"a mapped file that is cut short reads as zeros and says so", mapping_cut_short},
        {"a missing file is not mapped", mapping_missing},
        {"a mapped file that is replaced stays what it was", mapping_replaced},
    };
}
