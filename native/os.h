// What the plug-in asks of the operating system: pages, addresses, and reads around its page cache. os_posix.cpp and os_windows.cpp are its two halves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace nbm {

// Errors inside the plug-in; the ABI turns them into a status and a line.
struct failure {
    int         status;
    std::string text;
};

} // namespace nbm

namespace nbm::os {

// Page-aligned memory, zeroed, in large pages where they come without asking for rights. Throws failure.
void * map_pages(size_t size);
void   unmap_pages(void * memory, size_t size);

// Addresses without memory; whoever reads or writes them crashes. Throws failure.
void * reserve_addresses(size_t size);
void   release_addresses(void * base, size_t size);

// Sets a variable of the environment, unless it is set, for libraries that are loaded already.
void set_default(const char * variable, const char * value);

// A file that is read around the page cache where the file system allows it. Others may write, rename and delete it meanwhile.
class file {
public:
    static constexpr size_t alignment = 4096; // of offset, size and memory of a read

    explicit file(const std::string & path); // UTF-8. Throws failure.
    ~file();
    file(const file &) = delete;
    file & operator=(const file &) = delete;

    // Reads at most `size` bytes, a whole number of blocks, and returns how many came: 0 where the file has ended. Any number of threads at once. Throws failure.
    size_t read(uint64_t offset, size_t size, uint8_t * memory) const;

    // When it was opened.
    uint64_t size() const { return bytes; }

private:
    intptr_t handle;
    uint64_t bytes;
};

} // namespace nbm::os
