// The order of streaming: which tensors travel together, in which order, and which part of the ring each takes.
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
    size_t        room   = 0;  // of the ring, that is its alone
    size_t        inset  = 0;  // of its place in this room
    size_t        place[2] = {}; // in the ring, in passes that leave out the shared groups and in those that bring them
    bool          shared = false;
};

// A stretch of the ring's memory.
struct stretch {
    size_t from = 0;
    size_t to   = 0;
};

// Tensors that are needed at the same time, in the order of their places: a layer, its streamed part, one matrix of its shared part, or the output norm and projection.
struct group {
    std::string                  name;
    std::vector<streamed_tensor> tensors;
    std::vector<stretch>         takes[2]; // of the ring, in passes of either kind; two where it goes round the end
    stretch                      rests;    // of the arena, whole blocks: what does not stay in a file
    size_t                       size    = 0;
    bool                         shared  = false;
    bool                         encoder = false; // of a model that encodes once and decodes many times
    bool                         stays   = false; // in the same place in passes of either kind
    // What is needed after it: in a pass that computes the shared groups where they rest, and in one that streams them too.
    int next             = -1;
    int next_with_shared = -1;
};

// Groups in the order in which a token passes them. Of a shared part every matrix is one, with its bias: a node needs one of them at a time, and a ring that
// nothing else passes through has to hold no more.
std::vector<group> make_groups(const std::vector<streamed_tensor> & tensors);

// Gives every tensor its places in a ring of `ring` bytes, which has room for each group: of the shared groups only where they travel. The groups of a pass
// follow each other round the ring, so that one can come into what the others leave; a tensor lies in one piece. The first group that both kinds have is in one place for both: what
// came ahead for a token serves a prompt too.
void lay_out(std::vector<group> & groups, size_t ring, bool shared_travel);

} // namespace nbm
