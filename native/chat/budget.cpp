#include "budget.h"

#include "jinja/value.h"

#include <cstddef>
#include <cstdlib>

namespace nbm {

// Where this much stack is left, no call goes deeper.
constexpr uint64_t stack_reserve = 256 * 1024;
// What may be allocated once a limit was met, so that the error can be told.
constexpr int64_t memory_reserve = 16 * 1024 * 1024;
constexpr size_t  header = alignof(std::max_align_t);

static thread_local budget * current = nullptr;

budget * current_budget() { return current; }

budget::budget(const nbm_chat_budget & limits)
    : lowest(reinterpret_cast<const char *>(this) - (limits.stack > stack_reserve ? limits.stack - stack_reserve : 0)),
      memory(static_cast<int64_t>(limits.memory)), deadline(std::chrono::steady_clock::now() + std::chrono::milliseconds(limits.time)) {
    current = this;
}

budget::~budget() { current = nullptr; }

void budget::take(size_t bytes) {
    if (live + static_cast<int64_t>(bytes) > memory) {
        const char * text = "takes more memory than it may";
        memory = live + memory_reserve;
        fail(text);
    }
    live += static_cast<int64_t>(bytes);
    if (!exceeded) {
        check_stack();
        if (timed && ++allocations % 256 == 0) check_time();
    }
}

void budget::check_stack() {
    const char here = 0;
    if (&here < lowest) {
        lowest -= stack_reserve / 2;
        fail("nests too deeply");
    }
}

void budget::check_time() {
    if (!exceeded && std::chrono::steady_clock::now() > deadline) fail("takes longer than it may");
}

void budget::fail(const char * text) {
    if (!exceeded) exceeded = text;
    throw over_budget(text);
}

} // namespace nbm

// The size stands before the bytes, so that giving back needs no help from the C library.
void * operator new(size_t bytes) {
    if (nbm::current) nbm::current->take(bytes);
    char * block = bytes > SIZE_MAX - nbm::header ? nullptr : static_cast<char *>(std::malloc(bytes + nbm::header));
    if (!block) throw std::bad_alloc();
    *reinterpret_cast<size_t *>(block) = bytes;
    return block + nbm::header;
}

void operator delete(void * bytes) noexcept {
    if (!bytes) return;
    char * block = static_cast<char *>(bytes) - nbm::header;
    if (nbm::current) nbm::current->give(*reinterpret_cast<size_t *>(block));
    std::free(block);
}

void operator delete(void * bytes, size_t) noexcept { operator delete(bytes); }
void * operator new[](size_t bytes) { return operator new(bytes); }
void operator delete[](void * bytes) noexcept { operator delete(bytes); }
void operator delete[](void * bytes, size_t) noexcept { operator delete(bytes); }

// Every name, test and call of a template passes the first, every repetition of text the second (CMakeLists.txt wraps them by their mangled names).
extern "C" {

const jinja::func_builtins & __real__ZN5jinja15global_builtinsB5cxx11Ev();
const jinja::func_builtins & __wrap__ZN5jinja15global_builtinsB5cxx11Ev();
jinja::string & __real__ZN5jinja6string6appendERKS0_(jinja::string * self, const jinja::string & other);
jinja::string & __wrap__ZN5jinja6string6appendERKS0_(jinja::string * self, const jinja::string & other);

const jinja::func_builtins & __wrap__ZN5jinja15global_builtinsB5cxx11Ev() {
    if (nbm::current) {
        nbm::current->check_stack();
        nbm::current->check_time();
    }
    return __real__ZN5jinja15global_builtinsB5cxx11Ev();
}

jinja::string & __wrap__ZN5jinja6string6appendERKS0_(jinja::string * self, const jinja::string & other) {
    if (nbm::current) nbm::current->check_time();
    return __real__ZN5jinja6string6appendERKS0_(self, other);
}

}
