#include "ring.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <map>
#include <tuple>

namespace nbm {

// Inputs come before the layers and outputs after them; layers in between by number, those of an encoder before the decoder's.
static std::pair<int, std::string> order_of(const char * name) {
    const std::string text = name;
    const std::string stack = text.rfind("enc.", 0) == 0 || text.rfind("dec.", 0) == 0 ? text.substr(0, 4) : "";
    int layer;
    if (std::sscanf(name + stack.size(), "blk.%d.", &layer) == 1) {
        return {stack == "enc." ? layer - INT_MAX / 2 : layer, stack + "blk." + std::to_string(layer)};
    }
    return text.compare(stack.size(), 6, "output") == 0 ? std::make_pair(INT_MAX, std::string("output")) : std::make_pair(-1, text);
}

// The next group after `from`, round the ring, that passes through the same slot. From the decoder on it goes to the next token, which is not encoded.
static int successor(const std::vector<group> & groups, int from, bool with_shared) {
    const int count = (int) groups.size();
    for (int step = 1; step <= count; step++) {
        const int candidate = (from + step) % count;
        if (groups[candidate].encoder && !groups[from].encoder) {
            continue;
        }
        if (groups[candidate].slot == groups[from].slot && (with_shared || !groups[candidate].shared)) {
            return candidate;
        }
    }
    return -1;
}

std::vector<group> make_groups(const std::vector<streamed_tensor> & tensors, int slots, size_t alignment) {
    // The parts of a layer stand in the order of their first tensors.
    std::map<std::tuple<int, std::string, bool>, size_t> first;
    for (size_t i = 0; i < tensors.size(); i++) {
        auto [layer, name] = order_of(tensors[i].tensor->name);
        first.emplace(std::make_tuple(layer, name, tensors[i].shared), i);
    }
    std::map<std::tuple<int, std::string, size_t>, group> ordered;
    for (const streamed_tensor & tensor : tensors) {
        auto [layer, name] = order_of(tensor.tensor->name);
        group & to = ordered[std::make_tuple(layer, name, first.at(std::make_tuple(layer, name, tensor.shared)))];
        to.name    = name;
        to.shared  = tensor.shared;
        to.encoder = name.rfind("enc.", 0) == 0;
        to.tensors.push_back(tensor);
    }
    std::vector<group> groups;
    for (auto & [key, item] : ordered) {
        for (streamed_tensor & tensor : item.tensors) {
            tensor.place = item.size;
            item.size    = (item.size + tensor.size + alignment - 1) / alignment * alignment;
        }
        groups.push_back(std::move(item));
    }
    slots = std::min(slots, (int) groups.size());
    // Streamed groups take the slots in turn. A shared one takes the slot that was left longest ago, which the streamed groups around it do not need yet.
    int streamed = 0, before = 0;
    for (group & one : groups) {
        one.slot = one.shared ? (before + slots - 1) % slots : streamed++ % slots;
        before   = one.slot;
    }
    for (int i = 0; i < (int) groups.size(); i++) {
        groups[i].next             = groups[i].shared ? -1 : successor(groups, i, false);
        groups[i].next_with_shared = successor(groups, i, true);
    }
    return groups;
}

} // namespace nbm
