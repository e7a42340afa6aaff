// What the engine's code asserts becomes an error of the call, not the end of the process.
#include <stdexcept>

#undef assert
#define assert(condition) ((condition) ? (void) 0 : throw std::logic_error("unexpected: not " #condition))
