#include "ring.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <iterator>
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

// The next group after `from`, pass after pass. From the decoder on it goes to the next token, which is not encoded.
static int successor(const std::vector<group> & groups, int from, bool with_shared) {
    const int count = (int) groups.size();
    for (int step = 1; step <= count; step++) {
        const int candidate = (from + step) % count;
        if ((!groups[candidate].encoder || groups[from].encoder) && (with_shared || !groups[candidate].shared)) {
            return candidate;
        }
    }
    return -1;
}

// A matrix of a feed-forward network and its bias or scale have one name before the last dot.
static std::string matrix_of(const std::string & tensor) { return tensor.substr(0, tensor.rfind('.')); }

// llama.cpp's graphs have `gate(x) * up(x)` walked from the left, and then multiply by `down`; models list these in other orders. Experts come after a dense network.
static int turn_of(const std::string & matrix) {
    static const char * const turns[] = {"ffn_gate", "ffn_up", "ffn_down"};
    int turn = matrix.find("_exps") == std::string::npos ? 0 : (int) std::size(turns);
    for (const char * name : turns) {
        if (matrix.find(name) != std::string::npos) {
            return turn;
        }
        turn++;
    }
    return 0;
}

std::vector<group> make_groups(const std::vector<streamed_tensor> & tensors) {
    // The parts of a layer stand in the order of their first tensors.
    std::map<std::tuple<int, std::string, bool>, size_t> first;
    for (size_t i = 0; i < tensors.size(); i++) {
        auto [layer, name] = order_of(tensors[i].tensor->name);
        first.emplace(std::make_tuple(layer, name, tensors[i].shared), i);
    }
    std::map<std::tuple<int, std::string, size_t, int, std::string>, group> ordered;
    for (const streamed_tensor & tensor : tensors) {
        auto [layer, name] = order_of(tensor.tensor->name);
        const size_t      part = first.at(std::make_tuple(layer, name, tensor.shared));
        const std::string own  = tensor.shared ? matrix_of(tensor.tensor->name) : name;
        group & to = ordered[std::make_tuple(layer, name, part, tensor.shared ? turn_of(own) : 0, own)];
        to.name    = own;
        to.shared  = tensor.shared;
        to.encoder = name.rfind("enc.", 0) == 0;
        to.size += tensor.room;
        to.tensors.push_back(tensor);
    }
    std::vector<group> groups;
    for (auto & [key, item] : ordered) {
        groups.push_back(std::move(item));
    }
    for (int i = 0; i < (int) groups.size(); i++) {
        groups[i].next             = successor(groups, i, false);
        groups[i].next_with_shared = successor(groups, i, true);
    }
    return groups;
}

// Places a group from `start` on and returns where it ends.
static size_t place(group & one, size_t start, size_t ring, bool with_shared) {
    std::vector<stretch> & takes = one.takes[with_shared];
    takes = {{start, start}};
    for (streamed_tensor & tensor : one.tensors) {
        if (takes.back().to + tensor.room > ring) {
            takes.push_back({0, 0});
        }
        tensor.place[with_shared] = takes.back().to + tensor.inset;
        takes.back().to += tensor.room;
    }
    // What is left unused before the ring's end may be what it lacks.
    if (takes.size() > 2 || (takes.size() == 2 && takes[1].to > start)) {
        return place(one, 0, ring, with_shared);
    }
    return takes.back().to;
}

void lay_out(std::vector<group> & groups, size_t ring, bool shared_travel) {
    size_t end = 0;
    for (group & one : groups) {
        end = !one.shared || shared_travel ? place(one, end, ring, true) : end;
    }
    const auto first = std::find_if(groups.begin(), groups.end(), [](const group & one) { return !one.shared; });
    end = first != groups.end() ? first->takes[true].front().from : 0;
    for (group & one : groups) {
        end = !one.shared ? place(one, end, ring, false) : end;
        one.stays = !one.shared && one.takes[false].front().from == one.takes[true].front().from; // and so all of it
    }
}

} // namespace nbm
