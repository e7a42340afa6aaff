// The order of streaming: which tensors travel together, which slot they pass through, and which group takes a slot next.
#pragma once

#include "ggml.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace nbm {

// A tensor of the stream or the shared buffer type. Its bytes are in the arena, or in a file.
struct streamed_tensor {
    ggml_tensor * tensor;      // the model's, and gone with it: the loader, which may still be at work then, does not look at it
    size_t        bytes;       // of its data
    size_t        size;        // that the device wants for it, padding included
    int           file   = -1; // where bound to one
    uint64_t      offset = 0;  // in the file, or in the arena
    size_t        place  = 0;  // in the slot
    bool          shared = false;
};

// Tensors that are needed at the same time, in the order of their places: a layer, its streamed or its shared part, or the output norm and projection.
struct group {
    std::string                  name;
    std::vector<streamed_tensor> tensors;
    size_t                       size   = 0;
    bool                         shared  = false;
    bool                         encoder = false; // of a model that encodes once and decodes many times
    int                          slot    = -1;
    // The groups that take the slot after this one, itself where nothing else does: in a pass that computes the shared ones where they rest, and in one
    // that streams them too. -1 for a shared group in the first.
    int next             = -1;
    int next_with_shared = -1;
};

// Groups in the order in which a token passes them, each with its slot. `alignment` is the device's.
std::vector<group> make_groups(const std::vector<streamed_tensor> & tensors, int slots, size_t alignment);

} // namespace nbm
