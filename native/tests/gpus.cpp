#include "gpus.h"

#include "ggml-backend-impl.h"
#include "ggml-impl.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

constexpr size_t alignment = 128;

struct gpu {
    std::string              name;
    std::string              host_name;
    size_t                   told  = 0; // bytes that it says it has
    size_t                   given = 0; // and that it gives
    bool                     reads_host = false;
    bool                     pins       = true;
    std::atomic<size_t>      used{0};
    ggml_backend_device      device    = {};
    ggml_backend_buffer_type buft      = {};
    ggml_backend_buffer_type host_buft = {};
};

ggml_backend_dev_t cpu() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }

ggml_backend_buffer_t buffer_of(const ggml_tensor * tensor) { return tensor->view_src != nullptr ? tensor->view_src->buffer : tensor->buffer; }

// --- stream: what is given to it is done in order, by a thread of its own

// When it is there, everything given to a stream before is done.
using moment = std::shared_future<void>;

class stream {
public:
    stream() : worker([this] { run(); }) {}

    ~stream() {
        give({});
        worker.join();
    }

    void give(std::function<void()> task) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            tasks.push_back(std::move(task));
        }
        changed.notify_one();
    }

    moment record() {
        auto reached = std::make_shared<std::promise<void>>();
        give([reached] { reached->set_value(); });
        return reached->get_future().share();
    }

    void wait(const moment & until) {
        give([until] { until.wait(); });
    }

private:
    void run() {
        for (unsigned done = 1;; done++) {
            std::unique_lock<std::mutex> lock(mutex);
            changed.wait(lock, [this] { return !tasks.empty(); });
            const std::function<void()> task = std::move(tasks.front());
            tasks.pop_front();
            lock.unlock();
            if (!task) {
                return;
            }
            // A GPU is behind its host: without that, what forgets to wait would seldom be found out.
            if (done % 16 == 0) {
                std::this_thread::sleep_for(std::chrono::microseconds(100));
            }
            task();
        }
    }

    std::mutex                        mutex;
    std::condition_variable           changed;
    std::deque<std::function<void()>> tasks; // an empty one is the last
    std::thread                       worker;
};

// --- what is pinned

struct pinned_memory {
    std::mutex                        mutex;
    size_t                            most = SIZE_MAX;
    std::map<const uint8_t *, size_t> ranges;

    bool add(const void * base, size_t size) {
        std::lock_guard<std::mutex> lock(mutex);
        const auto                  next  = ranges.lower_bound((const uint8_t *) base);
        const bool                  apart = (next == ranges.end() || (const uint8_t *) base + size <= next->first) &&
                                            (next == ranges.begin() || std::prev(next)->first + std::prev(next)->second <= (const uint8_t *) base);
        if (!apart || all() + size > most) {
            return false;
        }
        ranges[(const uint8_t *) base] = size;
        return true;
    }

    void remove(const void * base) {
        std::lock_guard<std::mutex> lock(mutex);
        ranges.erase((const uint8_t *) base);
    }

    bool has(const void * from, size_t size) {
        std::lock_guard<std::mutex> lock(mutex);
        auto                        next = ranges.upper_bound((const uint8_t *) from);
        return next != ranges.begin() && (const uint8_t *) from + size <= std::prev(next)->first + std::prev(next)->second;
    }

    size_t bytes() {
        std::lock_guard<std::mutex> lock(mutex);
        return all();
    }

    size_t count() {
        std::lock_guard<std::mutex> lock(mutex);
        return ranges.size();
    }

private:
    size_t all() const {
        size_t all = 0;
        for (const auto & range : ranges) {
            all += range.second;
        }
        return all;
    }
};

pinned_memory        s_pinned;   // by the devices' own buffers
pinned_memory        s_in_place; // and memory that somebody else allocated
std::atomic<bool>    s_pins_in_place{false};
std::atomic<int64_t> s_set_pinned{0}, s_set_other{0}; // bytes that tensors were given, by where they came from

// --- buffer: host memory that only its own device computes with

gpu & gpu_of(ggml_backend_buffer_type_t buft) { return *(gpu *) buft->context; }

void buffer_free(ggml_backend_buffer_t buffer) {
    gpu_of(buffer->buft).used -= buffer->size;
    ::operator delete(buffer->context, std::align_val_t(alignment));
}

void * buffer_base(ggml_backend_buffer_t buffer) { return buffer->context; }

void buffer_memset(ggml_backend_buffer_t, ggml_tensor * tensor, uint8_t value, size_t offset, size_t size) { std::memset((uint8_t *) tensor->data + offset, value, size); }
void buffer_set(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    (s_pinned.has(data, size) ? s_set_pinned : s_set_other) += (int64_t) size;
    std::memcpy((uint8_t *) tensor->data + offset, data, size);
}
void buffer_get(ggml_backend_buffer_t, const ggml_tensor * tensor, void * data, size_t offset, size_t size) { std::memcpy(data, (const uint8_t *) tensor->data + offset, size); }
void buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) { std::memset(buffer->context, value, buffer->size); }

bool is_ours(ggml_backend_buffer_t buffer) { return buffer->iface.free_buffer == buffer_free; }

bool buffer_copy(ggml_backend_buffer_t, const ggml_tensor * from, ggml_tensor * to) {
    if (!is_ours(buffer_of(from))) {
        return false;
    }
    std::memcpy(to->data, from->data, ggml_nbytes(from));
    return true;
}

const char * buft_name(ggml_backend_buffer_type_t buft) { return gpu_of(buft).name.c_str(); }
size_t       buft_alignment(ggml_backend_buffer_type_t) { return alignment; }

ggml_backend_buffer_t buft_alloc(ggml_backend_buffer_type_t buft, size_t size) {
    gpu &        of     = gpu_of(buft);
    const size_t before = of.used.fetch_add(size);
    void *       memory = before + size <= of.given ? ::operator new(size, std::align_val_t(alignment), std::nothrow) : nullptr;
    if (memory == nullptr) {
        of.used -= size;
        GGML_LOG_ERROR("%s: refused %zu bytes: %zu of %zu are taken\n", of.name.c_str(), size, before, of.given);
        return nullptr;
    }
    std::memset(memory, 0xff, size); // no number in any type: whoever reads what nobody wrote finds out
    ggml_backend_buffer_i table = {};
    table.free_buffer   = buffer_free;
    table.get_base      = buffer_base;
    table.memset_tensor = buffer_memset;
    table.set_tensor    = buffer_set;
    table.get_tensor    = buffer_get;
    table.cpy_tensor    = buffer_copy;
    table.clear         = buffer_clear;
    return ggml_backend_buffer_init(buft, table, memory, size);
}

// Host memory, as what a driver pins is.
const char *          host_buft_name(ggml_backend_buffer_type_t buft) { return gpu_of(buft).host_name.c_str(); }
size_t                host_buft_alignment(ggml_backend_buffer_type_t) { return ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(cpu())); }
bool                  host_buft_is_host(ggml_backend_buffer_type_t) { return true; }
void                  host_buffer_free(ggml_backend_buffer_t buffer) {
    s_pinned.remove(buffer->context);
    ::operator delete(buffer->context, std::align_val_t(alignment));
}
ggml_backend_buffer_t host_buft_alloc(ggml_backend_buffer_type_t buft, size_t size) {
    void * memory = ::operator new(size, std::align_val_t(alignment), std::nothrow);
    if (memory == nullptr) {
        return nullptr;
    }
    s_pinned.add(memory, size);
    ggml_backend_buffer_t buffer = ggml_backend_cpu_buffer_from_ptr(memory, size);
    buffer->buft              = buft;
    buffer->iface.free_buffer = host_buffer_free;
    return buffer;
}

// --- backend: a stream that the CPU computes for

// What a GPU such as CUDA's compares a graph with before it plays the record that it has under the address of the first node.
struct seen_graph {
    uint64_t                 uid = 0;
    std::vector<ggml_tensor> nodes;
    std::vector<const void *> data; // of their sources
};

std::atomic<uint64_t> s_unlike{0};

struct computing {
    gpu &                    device;
    ggml_backend_t           inner;
    std::atomic<ggml_status> status{GGML_STATUS_SUCCESS}; // of what was computed: told by a later call, as GPUs do
    stream                   given;
    std::unordered_map<const ggml_tensor *, seen_graph> seen;
    int                      copies = 0; // since it was made to wait for another

    explicit computing(gpu & device) : device(device), inner(ggml_backend_dev_init(cpu(), nullptr)) {
        // Threads that wait for each other spin, and the others are GPUs too.
        auto set = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu()), "ggml_backend_set_n_threads");
        set(inner, 1);
    }
};

ggml_guid s_guid = {0x6e, 0x62, 0x6d, 0x2d, 0x74, 0x65, 0x73, 0x74, 0x2d, 0x67, 0x70, 0x75, 0x2d, 0x2d, 0x30, 0x31};

computing & computing_of(ggml_backend_t backend) { return *(computing *) backend->context; }
stream &    stream_of(ggml_backend_t backend) { return computing_of(backend).given; }

const char * backend_name(ggml_backend_t backend) { return computing_of(backend).device.name.c_str(); }

void backend_synchronize(ggml_backend_t backend) { stream_of(backend).record().wait(); }

void backend_free(ggml_backend_t backend) {
    backend_synchronize(backend);
    ggml_backend_free(computing_of(backend).inner);
    delete &computing_of(backend);
    delete backend;
}

// Of a GPU that takes its time, and does nothing else; 0 for one that computes.
double              s_link = 0, s_operations = 0;
std::atomic<double> s_copying{0};

void take(double seconds) { std::this_thread::sleep_until(std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds)); }

void copy_on(stream & on, void * to, const void * from, size_t size) {
    if (s_link == 0) {
        on.give([=] { std::memcpy(to, from, size); });
        return;
    }
    on.give([=] {
        take((double) size / s_link);
        s_copying = s_copying + (double) size / s_link;
    });
}

std::atomic<int> s_in_a_row{0};

void backend_set_async(ggml_backend_t backend, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    s_in_a_row = std::max<int>(s_in_a_row, ++computing_of(backend).copies);
    copy_on(stream_of(backend), (uint8_t *) tensor->data + offset, data, size);
}

void backend_get_async(ggml_backend_t backend, const ggml_tensor * tensor, void * data, size_t offset, size_t size) {
    copy_on(stream_of(backend), data, (const uint8_t *) tensor->data + offset, size);
}

bool backend_copy_async(ggml_backend_t source, ggml_backend_t target, const ggml_tensor * from, ggml_tensor * to) {
    if (source->guid != &s_guid || target->guid != &s_guid || buffer_of(from)->buft != &computing_of(source).device.buft || buffer_of(to)->buft != &computing_of(target).device.buft) {
        return false;
    }
    copy_on(stream_of(source), to->data, from->data, ggml_nbytes(from));
    if (source != target) {
        stream_of(target).wait(stream_of(source).record());
    }
    return true;
}

// A graph as it was when it was given: its caller may change or free it as soon as the call returns.
struct kept_graph {
    ggml_context                                             * context;
    ggml_cgraph                                              * graph;
    std::deque<ggml_tensor>                                    tensors;
    std::unordered_map<const ggml_tensor *, ggml_tensor *>     copies;

    explicit kept_graph(const ggml_cgraph & of) {
        context = ggml_init({ggml_graph_overhead_custom((size_t) of.n_nodes, false), nullptr, true});
        graph   = ggml_new_graph_custom(context, (size_t) of.n_nodes, false);
        for (int i = 0; i < of.n_nodes; i++) {
            ggml_tensor * node = copy(of.nodes[i]);
            for (ggml_tensor *& source : node->src) {
                source = source == nullptr ? nullptr : copy(source);
            }
            ggml_graph_add_node(graph, node);
            const size_t place = ggml_hash_find(&of.visited_hash_set, of.nodes[i]); // how often it is used decides what the CPU computes in one step
            graph->use_counts[ggml_hash_insert(&graph->visited_hash_set, node)] = ggml_bitset_get(of.visited_hash_set.used, place) ? of.use_counts[place] : 0;
        }
    }

    ~kept_graph() { ggml_free(context); }

    kept_graph(const kept_graph &) = delete;
    kept_graph & operator=(const kept_graph &) = delete;

    ggml_tensor * copy(const ggml_tensor * tensor) {
        ggml_tensor *& known = copies[tensor];
        if (known == nullptr) {
            tensors.push_back(*tensor);
            known = &tensors.back();
        }
        return known;
    }
};

// Host memory that was pinned for a GPU: its own buffers, and the plug-in's arena.
bool is_pinned_for(const gpu & of, ggml_backend_buffer_t buffer) { return buffer->buft == &of.host_buft || ggml_backend_buft_name(buffer->buft) == "NBM-" + of.name + "-shared"; }

// What a GPU would read or write out of bounds, this one refuses. Views compute nothing, and stand between the nodes of any device.
bool is_reachable(const gpu & from, const ggml_tensor * tensor) {
    ggml_backend_buffer_t buffer = buffer_of(tensor);
    if (buffer != nullptr && (buffer->buft == &from.buft || (from.reads_host && is_pinned_for(from, buffer)))) {
        return true;
    }
    GGML_LOG_ERROR("%s: cannot compute with %s in %s\n", from.name.c_str(), tensor->name, buffer == nullptr ? "no memory" : ggml_backend_buffer_name(buffer));
    return false;
}

// Counts a graph that is not the one that was seen under its first node. False for one that says by its uid that it is, as which a GPU would play another.
bool look_at(computing & of, const ggml_cgraph * graph) {
    seen_graph now = {graph->uid, {}, {}};
    for (int i = 0; i < graph->n_nodes; i++) {
        now.nodes.push_back(*graph->nodes[i]);
        for (const ggml_tensor * source : graph->nodes[i]->src) {
            now.data.push_back(source == nullptr ? nullptr : source->data);
        }
    }
    seen_graph & last = of.seen[graph->n_nodes > 0 ? graph->nodes[0] : nullptr];
    const bool   like = now.nodes.size() == last.nodes.size() && now.data == last.data && std::memcmp(now.nodes.data(), last.nodes.data(), now.nodes.size() * sizeof(ggml_tensor)) == 0;
    const bool   said = graph->uid != 0 && graph->uid == last.uid;
    s_unlike += like ? 0 : 1;
    last = std::move(now);
    if (said && !like) {
        GGML_LOG_ERROR("%s: a graph of uid %llu is not the one that had it before\n", of.device.name.c_str(), (unsigned long long) graph->uid);
    }
    return like || !said;
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    computing & of = computing_of(backend);
    if (!look_at(of, graph)) {
        return GGML_STATUS_FAILED;
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        const ggml_tensor * node = graph->nodes[i];
        if (ggml_op_is_empty(node->op)) {
            continue;
        }
        bool reachable = is_reachable(of.device, node);
        for (const ggml_tensor * source : node->src) {
            reachable = reachable && (source == nullptr || is_reachable(of.device, source));
        }
        if (!reachable) {
            return GGML_STATUS_FAILED;
        }
    }
    if (s_operations > 0) {
        double operations = 0;
        for (int i = 0; i < graph->n_nodes; i++) {
            const ggml_tensor * node = graph->nodes[i];
            operations += node->op == GGML_OP_MUL_MAT ? 2.0 * (double) ggml_nelements(node->src[0]) * (double) node->ne[1] : 0;
        }
        of.given.give([operations] { take(operations / s_operations); });
        return GGML_STATUS_SUCCESS;
    }
    auto kept = std::make_shared<kept_graph>(*graph);
    of.given.give([&of, kept] {
        const ggml_status status = ggml_backend_graph_compute(of.inner, kept->graph);
        if (status != GGML_STATUS_SUCCESS) {
            of.status = status;
        }
    });
    return of.status.exchange(GGML_STATUS_SUCCESS);
}

// --- events

struct recorded {
    std::mutex mutex;
    moment     last;

    moment get() {
        std::lock_guard<std::mutex> lock(mutex);
        return last;
    }
};

recorded & recorded_of(ggml_backend_event_t event) { return *(recorded *) event->context; }

void backend_event_record(ggml_backend_t backend, ggml_backend_event_t event) {
    std::lock_guard<std::mutex> lock(recorded_of(event).mutex);
    recorded_of(event).last = stream_of(backend).record();
}

void backend_event_wait(ggml_backend_t backend, ggml_backend_event_t event) {
    computing_of(backend).copies = 0;
    if (const moment last = recorded_of(event).get(); last.valid()) {
        stream_of(backend).wait(last);
    }
}

ggml_backend_event_t device_event_new(ggml_backend_dev_t device) { return new ggml_backend_event{device, new recorded()}; }

void device_event_free(ggml_backend_dev_t, ggml_backend_event_t event) {
    delete &recorded_of(event);
    delete event;
}

void device_event_synchronize(ggml_backend_dev_t, ggml_backend_event_t event) {
    if (const moment last = recorded_of(event).get(); last.valid()) {
        last.wait();
    }
}

// --- device

gpu & gpu_of(ggml_backend_dev_t device) { return *(gpu *) device->context; }

const char *               device_name(ggml_backend_dev_t device) { return gpu_of(device).name.c_str(); }
const char *               device_description(ggml_backend_dev_t) { return "a GPU that is not there"; }
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }
ggml_backend_buffer_type_t device_buft(ggml_backend_dev_t device) { return &gpu_of(device).buft; }
ggml_backend_buffer_type_t device_host_buft(ggml_backend_dev_t device) { return gpu_of(device).pins ? &gpu_of(device).host_buft : nullptr; }

bool device_supports_buft(ggml_backend_dev_t device, ggml_backend_buffer_type_t buft) {
    const gpu & of = gpu_of(device);
    return buft == &of.buft || (of.reads_host && buft == &of.host_buft);
}

void device_memory(ggml_backend_dev_t device, size_t * free, size_t * total) {
    const gpu &  of   = gpu_of(device);
    const size_t used = of.used;
    *total = of.told;
    *free  = of.told > used ? of.told - used : 0;
}

void device_props(ggml_backend_dev_t device, ggml_backend_dev_props * props) {
    *props             = {};
    props->name        = device_name(device);
    props->description = device_description(device);
    props->type        = device_type(device);
    props->caps        = {/* async */ true, /* host_buffer */ true, /* buffer_from_host_ptr */ false, /* events */ true, /* mmap_support */ false};
    device_memory(device, &props->memory_free, &props->memory_total);
}

// The CPU's own layouts of weights are nothing that another device can read.
bool device_supports_op(ggml_backend_dev_t, const ggml_tensor * op) {
    for (const ggml_tensor * source : op->src) {
        ggml_backend_buffer_t buffer = source == nullptr ? nullptr : buffer_of(source);
        if (buffer != nullptr && ggml_backend_buft_get_device(buffer->buft) == cpu() && !ggml_backend_buffer_is_host(buffer)) {
            return false;
        }
    }
    return ggml_backend_dev_supports_op(cpu(), op);
}

// From which batch on weights in host memory are worth copying; as CUDA has it.
bool device_offload_op(ggml_backend_dev_t, const ggml_tensor * op) {
    switch (op->op) {
        case GGML_OP_GET_ROWS:
            return false;
        case GGML_OP_MUL_MAT:
            return op->ne[1] >= 32;
        case GGML_OP_MUL_MAT_ID:
        case GGML_OP_ROPE:
            return op->ne[2] >= 32;
        default:
            return ggml_nrows(op) >= 32;
    }
}

ggml_backend_t device_init(ggml_backend_dev_t device, const char *) {
    ggml_backend_i table = {};
    table.get_name         = backend_name;
    table.free             = backend_free;
    table.set_tensor_async = backend_set_async;
    table.get_tensor_async = backend_get_async;
    table.cpy_tensor_async = backend_copy_async;
    table.synchronize      = backend_synchronize;
    table.graph_compute    = backend_compute;
    table.event_record     = backend_event_record;
    table.event_wait       = backend_event_wait;
    return new ggml_backend{&s_guid, table, device, new computing(gpu_of(device))};
}

// --- registry

std::vector<std::unique_ptr<gpu>> s_gpus;

const char *       reg_name(ggml_backend_reg_t) { return "TWIN"; }
size_t             reg_count(ggml_backend_reg_t) { return s_gpus.size(); }
ggml_backend_dev_t reg_device(ggml_backend_reg_t, size_t index) { return &s_gpus[index]->device; }

int64_t test_gpus_pinned() { return (int64_t) s_pinned.bytes(); }
int64_t test_gpus_set_pinned() { return s_set_pinned; }
int64_t test_gpus_set_other() { return s_set_other; }

void * reg_proc(ggml_backend_reg_t, const char * name) {
    const std::string wanted = name;
    if (s_pins_in_place && wanted == "ggml_backend_register_host_buffer") {
        return (void *) +[](void * memory, size_t size) { return s_in_place.add(memory, size); };
    }
    if (s_pins_in_place && wanted == "ggml_backend_unregister_host_buffer") {
        return (void *) +[](void * memory) { s_in_place.remove(memory); };
    }
    return wanted == "test_gpus_pinned_parts" ? (void *) test_gpus_pinned_parts : wanted == "test_gpus_pinned" ? (void *) test_gpus_pinned : wanted == "test_gpus_set_pinned" ? (void *) test_gpus_set_pinned : wanted == "test_gpus_set_other" ? (void *) test_gpus_set_other : nullptr;
}

ggml_backend_reg s_reg = {GGML_BACKEND_API_VERSION, {reg_name, reg_count, reg_device, reg_proc}, nullptr};

void add(size_t told, size_t given, bool reads_host, bool pins) {
    auto added = std::make_unique<gpu>();
    gpu & one  = *added;
    one.name      = "TWIN" + std::to_string(s_gpus.size());
    one.host_name = one.name + "_Host";
    one.told      = told;
    one.given     = given;
    one.reads_host = reads_host;
    one.pins       = pins;
    one.buft      = {{buft_name, buft_alloc, buft_alignment, nullptr, nullptr, nullptr}, &one.device, &one};
    one.host_buft = {{host_buft_name, host_buft_alloc, host_buft_alignment, nullptr, nullptr, host_buft_is_host}, &one.device, &one};
    ggml_backend_device_i table = {};
    table.get_name             = device_name;
    table.get_description      = device_description;
    table.get_memory           = device_memory;
    table.get_type             = device_type;
    table.get_props            = device_props;
    table.init_backend         = device_init;
    table.get_buffer_type      = device_buft;
    table.get_host_buffer_type = device_host_buft;
    table.supports_op          = device_supports_op;
    table.supports_buft        = device_supports_buft;
    table.offload_op           = device_offload_op;
    table.event_new            = device_event_new;
    table.event_free           = device_event_free;
    table.event_synchronize    = device_event_synchronize;
    one.device = {table, &s_reg, &one};
    s_gpus.push_back(std::move(added));
}

} // namespace

ggml_backend_reg_t test_gpus(const char * bytes) {
    std::istringstream all(bytes);
    for (std::string one; std::getline(all, one, ',');) {
        char *       end;
        const size_t told = std::strtoull(one.c_str(), &end, 10);
        s_pins_in_place = s_pins_in_place || one.back() == '=';
        add(told, *end == '/' ? std::strtoull(end + 1, nullptr, 10) : told, one.back() == '+', one.back() != '-');
    }
    return &s_reg;
}

void test_gpu_pace(double link, double operations) {
    s_link       = link;
    s_operations = operations;
}

int64_t test_gpus_pinned_parts() { return (int64_t) s_in_place.count(); }

void test_gpu_pins_in_place(size_t bytes) {
    s_pins_in_place = bytes > 0;
    s_in_place.most = bytes;
}

double test_gpu_copying() { return s_copying; }

uint64_t test_gpu_unlike() { return s_unlike; }

int test_gpu_in_a_row() { return s_in_a_row.exchange(0); }

extern "C" {
GGML_BACKEND_API ggml_backend_reg_t ggml_backend_init(void);
}

ggml_backend_reg_t ggml_backend_init() {
    const char * bytes = std::getenv("NBM_TEST_GPUS");
    return test_gpus(bytes == nullptr ? "" : bytes);
}
