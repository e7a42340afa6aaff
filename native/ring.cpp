#include "ring.h"

#include <algorithm>
#include <cstdio>
#include <map>

namespace nbm {

// Inputs come before the layers and outputs after them; layers in between by number.
static std::pair<int, std::string> order_of(const char * name) {
    int layer;
    if (std::sscanf(name, "blk.%d.", &layer) == 1) {
        return {layer, "blk." + std::to_string(layer)};
    }
    std::string text = name;
    return text.rfind("output", 0) == 0 ? std::make_pair(INT32_MAX, std::string("output")) : std::make_pair(-1, text);
}

std::vector<group> make_groups(const std::vector<streamed_tensor> & tensors, int slots, size_t alignment) {
    std::map<std::pair<int, std::string>, group> ordered;
    for (const streamed_tensor & tensor : tensors) {
        auto    key = order_of(tensor.tensor->name);
        group & to  = ordered[key];
        to.name     = key.second;
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
    const int count = (int) groups.size();
    for (int i = 0; i < count; i++) {
        groups[i].slot = i % slots;
        groups[i].next = i + slots < count ? i + slots : i % slots;
    }
    return groups;
}

} // namespace nbm
