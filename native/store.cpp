#include "store.h"
#include "nbm.h"

#include <numeric>

namespace nbm {

arena::arena(ggml_backend_dev_t device, size_t size, bool allow_unpinned) : device(device), bytes(size), allow_unpinned(allow_unpinned) {
    if (size == 0) {
        return;
    }
    mapped = os::map_pages(size);
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
        os::unmap_pages(mapped, bytes);
        mapped = nullptr;
        base   = (uint8_t *) files::whole((size_t) ggml_backend_buffer_get_base(buffer));
    } else if (!allow_unpinned) {
        os::unmap_pages(mapped, bytes);
        throw failure{NBM_NO_MEMORY, std::to_string(size) + " bytes of pinned memory were refused"};
    }
}

arena::~arena() {
    for (const stretch & part : registered) {
        unregister_pages(base + part.from);
    }
    if (buffer != nullptr) {
        ggml_backend_buffer_free(buffer);
    }
    if (mapped != nullptr) {
        os::unmap_pages(mapped, bytes);
    }
}

void arena::pin(const stretch & part) {
    std::unique_lock<std::mutex> lock(pinning);
    waiting.push_back(part);
    if (busy) {
        return;
    }
    busy = true;
    while (can_register && !waiting.empty()) {
        const stretch next = waiting.back();
        waiting.pop_back();
        lock.unlock();
        const bool done = register_pages(base + next.from, next.to - next.from);
        lock.lock();
        can_register = done;
        if (done) {
            registered.push_back(next);
        } else if (!allow_unpinned) {
            busy = false;
            throw failure{NBM_NO_MEMORY, std::to_string(next.to - next.from) + " bytes of host memory could not be pinned"};
        }
    }
    waiting.clear();
    busy = false;
}

bool arena::pinned() const {
    std::lock_guard<std::mutex> lock(pinning);
    const size_t in_place = std::accumulate(registered.begin(), registered.end(), (size_t) 0, [](size_t all, const stretch & part) { return all + (part.to - part.from); });
    return buffer != nullptr || (bytes > 0 && in_place == bytes);
}

// ggml's CUDA backend pins a caller's memory, if this variable of the environment is there.
bool arena::register_pages(void * memory, size_t size) const {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(device);
    auto call = reg == nullptr ? nullptr : (bool (*)(void *, size_t)) ggml_backend_reg_get_proc_address(reg, "ggml_backend_register_host_buffer");
    if (call == nullptr) {
        return false;
    }
    os::set_default("GGML_CUDA_REGISTER_HOST", "1");
    return call(memory, size);
}

void arena::unregister_pages(void * memory) const {
    auto call = (void (*)(void *)) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_unregister_host_buffer");
    if (call != nullptr) {
        call(memory);
    }
}

int files::open(const std::string & path) {
    auto known = numbers.find(path);
    if (known != numbers.end()) {
        return known->second;
    }
    entries.emplace_back(path);
    return numbers[path] = (int) entries.size() - 1;
}

const uint8_t * files::read(int file, uint64_t offset, size_t size, uint8_t * memory) const {
    const entry & from  = entries.at((size_t) file);
    uint64_t      start = offset / alignment * alignment;
    uint64_t      end   = offset + size;
    if (end > from.file.size()) {
        throw failure{NBM_IO, from.path + ": ends at byte " + std::to_string(from.file.size()) + ", and " + std::to_string(end) + " are needed"};
    }
    const size_t want = whole((size_t) (end - start));
    for (size_t done = 0; start + done < end;) {
        const size_t count = from.read(start + done, want - done, memory + done);
        if (count == 0) {
            throw failure{NBM_IO, from.path + ": ended at byte " + std::to_string(start + done) + " while being read, and " + std::to_string(end) + " are needed"};
        }
        done += count;
    }
    return memory + (offset - start);
}

size_t files::entry::read(uint64_t offset, size_t size, uint8_t * memory) const {
    try {
        return file.read(offset, size, memory);
    } catch (const failure & caught) {
        throw failure{caught.status, path + ": " + caught.text};
    }
}

} // namespace nbm
