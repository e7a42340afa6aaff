#include "store.h"
#include "nbm.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nbm {

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

static void * map_pages(size_t size) {
    void * memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        throw failure{NBM_NO_MEMORY, std::to_string(size) + " bytes of host memory were refused: " + std::strerror(errno)};
    }
    madvise(memory, size, MADV_HUGEPAGE); // a wish; small pages do as well
    return memory;
}

arena::arena(ggml_backend_dev_t device, size_t size, bool allow_unpinned) : device(device), bytes(size), allow_unpinned(allow_unpinned) {
    if (size == 0) {
        return;
    }
    mapped = map_pages(size);
    base   = (uint8_t *) mapped;
    ggml_backend_buffer_type_t pinned = ggml_backend_dev_host_buffer_type(device);
    if (pinned == nullptr) {
        return;
    }
    // Whether pages can be pinned in place shows on the first one.
    can_register = register_pages(mapped, files::alignment);
    if (can_register) {
        unregister_pages(mapped);
        return;
    }
    buffer = ggml_backend_buft_alloc_buffer(pinned, size + files::alignment);
    if (buffer != nullptr) {
        munmap(mapped, bytes);
        mapped = nullptr;
        base   = (uint8_t *) round_up((size_t) ggml_backend_buffer_get_base(buffer), files::alignment);
    } else if (!allow_unpinned) {
        munmap(mapped, bytes);
        throw failure{NBM_NO_MEMORY, std::to_string(size) + " bytes of pinned memory were refused"};
    }
}

arena::~arena() {
    if (registered) {
        unregister_pages(mapped);
    }
    if (buffer != nullptr) {
        ggml_backend_buffer_free(buffer);
    }
    if (mapped != nullptr) {
        munmap(mapped, bytes);
    }
}

void arena::pin() {
    if (!can_register || registered) {
        return;
    }
    registered   = register_pages(mapped, bytes);
    can_register = registered;
    if (!registered && !allow_unpinned) {
        throw failure{NBM_NO_MEMORY, std::to_string(bytes) + " bytes of host memory could not be pinned"};
    }
}

// ggml's CUDA backend pins a caller's memory, if this variable of the environment is there.
bool arena::register_pages(void * memory, size_t size) const {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(device);
    auto call = reg == nullptr ? nullptr : (bool (*)(void *, size_t)) ggml_backend_reg_get_proc_address(reg, "ggml_backend_register_host_buffer");
    if (call == nullptr) {
        return false;
    }
    setenv("GGML_CUDA_REGISTER_HOST", "1", 0);
    return call(memory, size);
}

void arena::unregister_pages(void * memory) const {
    auto call = (void (*)(void *)) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_unregister_host_buffer");
    if (call != nullptr) {
        call(memory);
    }
}

files::~files() {
    for (auto & [number, file] : entries) {
        close(file.descriptor);
    }
}

int files::open(const std::string & path) {
    auto known = numbers.find(path);
    if (known != numbers.end()) {
        return known->second;
    }
    bool direct = true;
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (descriptor < 0 && errno == EINVAL) { // a file system without direct reads, such as tmpfs
        direct     = false;
        descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    }
    if (descriptor < 0) {
        throw failure{NBM_IO, path + ": " + std::strerror(errno)};
    }
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        int reason = errno;
        close(descriptor);
        throw failure{NBM_IO, path + ": " + std::strerror(reason)};
    }
    int number = (int) entries.size();
    entries[number] = {path, descriptor, direct, (uint64_t) status.st_size};
    numbers[path]   = number;
    return number;
}

const uint8_t * files::read(int file, uint64_t offset, size_t size, uint8_t * memory) const {
    const entry & from  = entries.at(file);
    uint64_t      start = offset / alignment * alignment;
    uint64_t      end   = offset + size;
    if (end > from.size) {
        throw failure{NBM_IO, from.path + ": ends at byte " + std::to_string(from.size) + ", and " + std::to_string(end) + " are needed"};
    }
    size_t want = from.direct ? round_up((size_t) (end - start), alignment) : (size_t) (end - start);
    size_t done = 0;
    while (start + done < end) {
        ssize_t count = pread(from.descriptor, memory + done, want - done, (off_t) (start + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            throw failure{NBM_IO, from.path + ": at byte " + std::to_string(start + done) + ": " + std::strerror(errno)};
        }
        if (count == 0) {
            throw failure{NBM_IO, from.path + ": ended at byte " + std::to_string(start + done) + " while being read, and " + std::to_string(end) + " are needed"};
        }
        done += (size_t) count;
    }
    return memory + (offset - start);
}

} // namespace nbm
