#include "mapping.h"
#include "nbm.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nbm {

namespace {

struct region {
    std::atomic<uint8_t *> begin{nullptr};
    std::atomic<size_t>    size{0};
    std::atomic<bool>      damaged{false};
};

// The handler may take no lock and no memory.
constexpr size_t most_regions = 1024;
region           regions[most_regions];
std::mutex       places;
struct sigaction before;

// A page that cannot be had is a SIGBUS for the thread that reads it. Where it is ours, zeros take the place of the mapping from there on, and the thread reads on.
void on_bus_error(int number, siginfo_t * info, void * context) {
    auto * at = (uint8_t *) info->si_addr;
    for (region & one : regions) {
        uint8_t * begin = one.begin.load(std::memory_order_acquire);
        size_t    size  = one.size.load(std::memory_order_acquire);
        if (begin == nullptr || at < begin || at >= begin + size) {
            continue;
        }
        one.damaged = true;
        const int  reason = errno;
        const auto page   = (size_t) sysconf(_SC_PAGESIZE);
        uint8_t *  from   = begin + (size_t) (at - begin) / page * page;
        const bool zeros  = mmap(from, (size_t) (begin + size - from), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
        errno             = reason;
        if (zeros) {
            return;
        }
    }
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        sigaction(number, &before, nullptr); // the instruction fails again, and the process ends as it would have
    }
}

void watch_bus_errors() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action = {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags     = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &before);
    });
}

} // namespace

mapping::mapping(const std::string & path) : path(path) {
    watch_bus_errors();
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        throw failure{NBM_IO, path + ": " + std::strerror(errno)};
    }
    struct stat status;
    void *      memory = MAP_FAILED;
    if (fstat(descriptor, &status) == 0 && status.st_size > 0) {
        memory = mmap(nullptr, (size_t) status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    const int reason = errno;
    close(descriptor);
    if (memory == MAP_FAILED) {
        throw failure{NBM_IO, path + ": cannot be mapped: " + std::strerror(reason)};
    }
    base  = (uint8_t *) memory;
    bytes = (uint64_t) status.st_size;
#ifdef MADV_HUGEPAGE
    large_pages = madvise(base, (size_t) bytes, MADV_HUGEPAGE) == 0;
#endif
    std::lock_guard<std::mutex> lock(places);
    place = (size_t) (std::find_if(regions, regions + most_regions, [](const region & one) { return one.begin.load() == nullptr; }) - regions);
    if (place == most_regions) {
        munmap(base, (size_t) bytes);
        throw failure{NBM_NO_MEMORY, path + ": " + std::to_string(most_regions) + " files are mapped already"};
    }
    regions[place].damaged = false;
    regions[place].size.store((size_t) bytes, std::memory_order_release);
    regions[place].begin.store(base, std::memory_order_release);
}

mapping::~mapping() {
    std::lock_guard<std::mutex> lock(places);
    regions[place].begin.store(nullptr, std::memory_order_release);
    munmap(base, (size_t) bytes);
}

void mapping::fill(uint64_t offset, uint64_t size) const {
    if (offset > bytes || size > bytes - offset) {
        throw failure{NBM_INVALID, path + ": has " + std::to_string(bytes) + " bytes, and " + std::to_string(offset + size) + " are needed"};
    }
    const auto page  = (uint64_t) sysconf(_SC_PAGESIZE);
    uint8_t *  begin = base + offset / page * page;
    const auto count = (size_t) (base + offset + size - begin);
    if (!large_pages) { // what is asked for in this way comes in small ones
        madvise(begin, count, MADV_WILLNEED);
    }
#ifdef MADV_POPULATE_READ
    // EINVAL is a Linux before 5.14; there pages come when they are read.
    while (madvise(begin, count, MADV_POPULATE_READ) != 0 && errno != EINVAL) {
        if (errno != EINTR && errno != EAGAIN) {
            throw failure{NBM_IO, path + ": bytes from " + std::to_string(offset) + " cannot be read: " + std::strerror(errno)};
        }
    }
#endif
}

bool mapping::damaged() const { return regions[place].damaged; }

} // namespace nbm
