#include "os.h"
#include "nbm.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// What Linux has and others have not.
#ifndef O_DIRECT
#  define O_DIRECT 0
#endif
#ifndef MADV_HUGEPAGE
#  define MADV_HUGEPAGE MADV_NORMAL
#endif

namespace nbm::os {

static void * map(size_t size, int protection, const char * what) {
    void * memory = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        throw failure{NBM_NO_MEMORY, std::to_string(size) + " bytes of " + what + " were refused: " + std::strerror(errno)};
    }
    return memory;
}

void * map_pages(size_t size) {
    void * memory = map(size, PROT_READ | PROT_WRITE, "host memory");
    madvise(memory, size, MADV_HUGEPAGE); // a wish; small pages do as well
    return memory;
}

void unmap_pages(void * memory, size_t size) { munmap(memory, size); }

void * reserve_addresses(size_t size) { return map(size, PROT_NONE, "addresses"); }

void release_addresses(void * base, size_t size) { munmap(base, size); }

void set_default(const char * variable, const char * value) { setenv(variable, value, 0); }

file::file(const std::string & path) {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (descriptor < 0 && errno == EINVAL) { // a file system without direct reads, such as tmpfs
        descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    }
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        const int reason = errno;
        if (descriptor >= 0) {
            close(descriptor);
        }
        throw failure{NBM_IO, path + ": " + std::strerror(reason)};
    }
    handle = descriptor;
    bytes  = (uint64_t) status.st_size;
}

file::~file() { close((int) handle); }

size_t file::read(uint64_t offset, size_t size, uint8_t * memory) const {
    for (;;) {
        const ssize_t count = pread((int) handle, memory, size, (off_t) offset);
        if (count >= 0) {
            return (size_t) count;
        }
        if (errno != EINTR) {
            throw failure{NBM_IO, "at byte " + std::to_string(offset) + ": " + std::strerror(errno)};
        }
    }
}

} // namespace nbm::os
