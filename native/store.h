// Where streamed bytes rest: host memory, pinned for the device where that can be had, and ranges of files read around the page cache.
#pragma once

#include "os.h"
#include "ring.h"

#include "ggml-backend.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace nbm {

// One allocation of host memory, page-aligned.
//
// Where the device can pin memory that is there already, the arena is ordinary memory in huge pages until `pin`: the threads that fill it fault its pages in
// together, which pinning on one thread takes seconds for. Elsewhere it comes from the device's own allocator, or is never pinned.
//
// It is pinned part by part, while other parts are filled: a driver pins 20 GB in a second.
class arena {
public:
    arena(ggml_backend_dev_t device, size_t size, bool allow_unpinned);
    ~arena();
    arena(const arena &) = delete;
    arena & operator=(const arena &) = delete;

    // Pins a part of whole pages that is filled, from any thread, once. Returns at once where another thread is pinning, which then does this part too. Does nothing
    // where all is pinned or the device pins nothing. What a device refuses stays ordinary memory, and all that follows.
    void pin(const stretch & part);

    uint8_t * data() const { return base; }
    size_t    size() const { return bytes; }
    bool      pinned() const; // all of it

private:
    bool register_pages(void * memory, size_t size) const;
    void unregister_pages(void * memory) const;

    ggml_backend_dev_t    device;
    ggml_backend_buffer_t buffer = nullptr;
    void                * mapped = nullptr;
    uint8_t             * base   = nullptr;
    size_t                bytes;
    bool                  allow_unpinned;

    mutable std::mutex   pinning; // held for what follows
    bool                 can_register = false;
    bool                 busy         = false; // a thread pins what is waiting
    std::vector<stretch> waiting;
    std::vector<stretch> registered;
};

// Files opened once each, for reads that bypass the page cache where the file system allows it.
class files {
public:
    static constexpr size_t alignment = os::file::alignment;

    // A number for the file; opens it on first use.
    int open(const std::string & path);

    // Fills `memory`, which has room for a whole number of aligned blocks around [offset, offset + size), and returns where `offset` itself landed.
    const uint8_t * read(int file, uint64_t offset, size_t size, uint8_t * memory) const;

    // Bytes that `read` needs for a range of this size: whole blocks, and one more where it does not begin with one.
    static size_t room(size_t size) { return whole(size) + alignment; }

    // So many bytes and what they lack of whole blocks.
    static size_t whole(size_t size) { return (size + alignment - 1) / alignment * alignment; }

private:
    struct entry {
        explicit entry(const std::string & path) : path(path), file(path) {}

        size_t read(uint64_t offset, size_t size, uint8_t * memory) const;

        std::string path;
        os::file    file;
    };

    std::unordered_map<std::string, int> numbers;
    std::deque<entry>                    entries;
};

} // namespace nbm
