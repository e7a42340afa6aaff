// Files as memory. What a file no longer has, or the disk does not give, reads as zeros and marks the mapping as damaged: the process goes on.
#pragma once

#include "os.h"

namespace nbm {

class mapping {
public:
    explicit mapping(const std::string & path); // UTF-8. Throws failure.
    ~mapping();
    mapping(const mapping &) = delete;
    mapping & operator=(const mapping &) = delete;

    const uint8_t * memory() const { return base; }
    uint64_t        size() const { return bytes; }

    // Brings a part into memory, as far as the system can be told to. Throws failure where it cannot be had.
    void fill(uint64_t offset, uint64_t size) const;

    bool damaged() const;

private:
    std::string path;
    uint8_t *   base = nullptr;
    uint64_t    bytes = 0;
    bool        large_pages = false; // whether Linux was asked to keep the file in them, where its file system can
    size_t      place = 0; // in the table that the signal's handler looks in
};

} // namespace nbm
