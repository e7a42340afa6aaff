// The stack, memory and time that a call may take. This library's operator new counts, and the engine's template code is watched at two of its functions:
// nothing there asks by itself.
#pragma once

#include "nbm_chat.h"

#include <chrono>
#include <new>

namespace nbm {

struct over_budget : std::bad_alloc {
    const char * text;
    explicit over_budget(const char * text) : text(text) {}
    const char * what() const noexcept override { return text; }
};

// In force on this thread from here to the end of the scope.
class budget {
public:
    explicit budget(const nbm_chat_budget & limits);
    ~budget();
    budget(const budget &) = delete;
    budget & operator=(const budget &) = delete;

    void take(size_t bytes);
    void give(size_t bytes) { live -= static_cast<int64_t>(bytes); }
    void check_stack();
    void check_time();

    // Why the budget was exceeded; null while it was not.
    const char * exceeded = nullptr;
    // Whether allocating looks at the clock as well. Not where JSON values come and go: they allocate in their destructors, which may not throw.
    bool timed = false;

private:
    [[noreturn]] void fail(const char * text);

    const char *                          lowest;
    int64_t                               memory;
    int64_t                               live = 0;
    uint32_t                              allocations = 0;
    std::chrono::steady_clock::time_point deadline;
};

budget * current_budget();

} // namespace nbm
