// The ggml tables of a wrapped device, in the order of ggml's own backends: buffer, buffer type, stream, device, registry. Whatever is not streaming is
// handed on to the wrapped device.
#include "device.h"

#include <cstring>

namespace {

// --- buffer: addresses without memory, until the commit points the tensors into the ring or the arena

struct reservation {
    nbm_device * device;
    void       * base;
    size_t       size;
    bool         shared;
};

reservation & reserved(ggml_backend_buffer_t buffer) { return *(reservation *) buffer->context; }

void buffer_free(ggml_backend_buffer_t buffer) {
    reservation & context = reserved(buffer);
    if (context.size > 0) {
        nbm::os::release_addresses(context.base, context.size);
    }
    delete &context;
}

void * buffer_base(ggml_backend_buffer_t buffer) { return reserved(buffer).base; }

ggml_status buffer_init_tensor(ggml_backend_buffer_t buffer, ggml_tensor * tensor) {
    nbm_device & device = *reserved(buffer).device;
    if (device.committed) {
        device.fail(std::string(tensor->name) + ": allocated after the commit");
        return GGML_STATUS_FAILED;
    }
    if (tensor->view_src == nullptr) {
        nbm::streamed_tensor streamed;
        streamed.tensor = tensor;
        streamed.bytes  = ggml_nbytes(tensor);
        streamed.size   = ggml_backend_buft_get_alloc_size(ggml_backend_dev_buffer_type(device.inner), tensor);
        streamed.shared = reserved(buffer).shared;
        device.tensors.push_back(streamed);
    }
    return GGML_STATUS_SUCCESS;
}

// Bytes go through nbm_device_tensor_bytes. There is no memory behind these addresses.
void buffer_refuse(ggml_backend_buffer_t buffer, const ggml_tensor * tensor) {
    reserved(buffer).device->fail(std::string(tensor->name) + ": a streamed tensor has no bytes before the commit");
}
void buffer_memset(ggml_backend_buffer_t buffer, ggml_tensor * tensor, uint8_t, size_t, size_t) { buffer_refuse(buffer, tensor); }
void buffer_set(ggml_backend_buffer_t buffer, ggml_tensor * tensor, const void *, size_t, size_t) { buffer_refuse(buffer, tensor); }
void buffer_get(ggml_backend_buffer_t buffer, const ggml_tensor * tensor, void *, size_t, size_t) { buffer_refuse(buffer, tensor); }
void buffer_clear(ggml_backend_buffer_t, uint8_t) {}

// --- buffer type

nbm_device & device_of(ggml_backend_buffer_type_t buft) { return *(nbm_device *) buft->context; }

// llama.cpp tells buffer types apart by their names.
const char * buft_name(ggml_backend_buffer_type_t buft) {
    const nbm_device & device = device_of(buft);
    return (buft == &device.shared_buft ? device.shared_name : device.name).c_str();
}

ggml_backend_buffer_t buft_alloc(ggml_backend_buffer_type_t buft, size_t size) {
    void * base = (void *) nbm::files::alignment; // of an empty buffer, as a load without allocation makes: aligned, not null, never read
    if (size > 0) {
        try {
            base = nbm::os::reserve_addresses(size);
        } catch (const nbm::failure & refused) {
            device_of(buft).fail(refused.text);
            return nullptr;
        }
    }
    ggml_backend_buffer_i table = {};
    table.free_buffer   = buffer_free;
    table.get_base      = buffer_base;
    table.init_tensor   = buffer_init_tensor;
    table.memset_tensor = buffer_memset;
    table.set_tensor    = buffer_set;
    table.get_tensor    = buffer_get;
    table.clear         = buffer_clear;
    return ggml_backend_buffer_init(buft, table, new reservation{&device_of(buft), base, size, buft == &device_of(buft).shared_buft}, size);
}

size_t buft_alignment(ggml_backend_buffer_type_t buft) { return ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(device_of(buft).inner)); }

size_t buft_alloc_size(ggml_backend_buffer_type_t buft, const ggml_tensor * tensor) {
    return ggml_backend_buft_get_alloc_size(ggml_backend_dev_buffer_type(device_of(buft).inner), tensor);
}

bool buft_is_host(ggml_backend_buffer_type_t buft) { return buft == &device_of(buft).shared_buft; }

// --- stream

struct wrapped_backend {
    nbm_device * device;
    nbm::stream  stream;
};

ggml_guid s_guid = {0x6e, 0x62, 0x6d, 0x2d, 0x73, 0x74, 0x72, 0x65, 0x61, 0x6d, 0x69, 0x6e, 0x67, 0x2d, 0x30, 0x31};

wrapped_backend & wrapped(ggml_backend_t backend) { return *(wrapped_backend *) backend->context; }
ggml_backend_t    inner_of(ggml_backend_t backend) { return backend->guid == &s_guid ? wrapped(backend).stream.compute : backend; }

// The CPU's stream for linked experts, or null.
ggml_backend_t others_of(ggml_backend_t backend) { return backend->guid == &s_guid && wrapped(backend).stream.experts ? wrapped(backend).stream.experts->others() : nullptr; }

template <typename function>
function proc_of(ggml_backend_t inner, const char * name) {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(ggml_backend_get_device(inner));
    return reg == nullptr ? nullptr : (function) ggml_backend_reg_get_proc_address(reg, name);
}

const char * backend_name(ggml_backend_t backend) { return wrapped(backend).device->name.c_str(); }

void backend_free(ggml_backend_t backend) {
    ggml_backend_free(wrapped(backend).stream.compute);
    delete &wrapped(backend);
    delete backend;
}

void backend_set_async(ggml_backend_t backend, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    inner_of(backend)->iface.set_tensor_async(inner_of(backend), tensor, data, offset, size);
}

void backend_get_async(ggml_backend_t backend, const ggml_tensor * tensor, void * data, size_t offset, size_t size) {
    inner_of(backend)->iface.get_tensor_async(inner_of(backend), tensor, data, offset, size);
}

bool backend_copy_async(ggml_backend_t source, ggml_backend_t target, const ggml_tensor * from, ggml_tensor * to) {
    ggml_backend_t inner   = inner_of(target);
    nbm::courier * courier = target->guid == &s_guid ? wrapped(target).device->courier.get() : nullptr;
    if (ggml_backend_buffer_is_host(from->buffer)) {
        return courier != nullptr && courier->bring(from->data, to, inner);
    }
    if (courier != nullptr && courier->pass(from, inner_of(source), to, inner)) {
        return true;
    }
    return inner->iface.cpy_tensor_async != nullptr && inner->iface.cpy_tensor_async(inner_of(source), inner, from, to);
}

void backend_synchronize(ggml_backend_t backend) { ggml_backend_synchronize(inner_of(backend)); }

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    nbm_device & device = *wrapped(backend).device;
    try {
        return device.run(wrapped(backend).stream, graph);
    } catch (const nbm::failure & caught) {
        device.fail(caught.text);
    } catch (const std::exception & caught) {
        device.fail(caught.what());
    }
    return GGML_STATUS_FAILED;
}

void backend_event_record(ggml_backend_t backend, ggml_backend_event_t event) { inner_of(backend)->iface.event_record(inner_of(backend), event); }
void backend_event_wait(ggml_backend_t backend, ggml_backend_event_t event) { inner_of(backend)->iface.event_wait(inner_of(backend), event); }

void backend_optimize(ggml_backend_t backend, ggml_cgraph * graph, ggml_backend_graph_optimize_params * params) {
    inner_of(backend)->iface.graph_optimize(inner_of(backend), graph, params);
}

// --- device

nbm_device & device_of(ggml_backend_dev_t device) { return *(nbm_device *) device->context; }

const char * device_name(ggml_backend_dev_t device) { return device_of(device).name.c_str(); }
const char * device_description(ggml_backend_dev_t device) { return ggml_backend_dev_description(device_of(device).inner); }
void device_memory(ggml_backend_dev_t device, size_t * free, size_t * total) { ggml_backend_dev_memory(device_of(device).inner, free, total); }

// A GPU to llama.cpp, whatever is wrapped: layers are offloaded to it.
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

void device_props(ggml_backend_dev_t device, ggml_backend_dev_props * props) {
    ggml_backend_dev_get_props(device_of(device).inner, props);
    props->name                      = device_name(device);
    props->type                      = device_type(device);
    props->caps.buffer_from_host_ptr = false;
}

ggml_backend_t device_init(ggml_backend_dev_t device, const char * params) {
    nbm_device   & of    = device_of(device);
    ggml_backend_t inner = ggml_backend_dev_init(of.inner, params);
    if (inner == nullptr) {
        return nullptr;
    }
    std::unique_ptr<nbm::linked_experts> experts;
    try {
        if (of.links()) {
            experts = std::make_unique<nbm::linked_experts>(of.inner, of.options.cpu, &of.shared_buft, (int) of.options.linked_experts, of.courier.get(), of.link_bytes);
        }
    } catch (const nbm::failure & refused) {
        of.fail(refused.text);
        ggml_backend_free(inner);
        return nullptr;
    }
    // llama.cpp gives threads to the CPU that it knows, and to no other; without some, they would start and end with every piece of a graph.
    for (ggml_backend_t one : {inner, experts ? experts->others() : nullptr}) {
        if (auto give = one == nullptr ? nullptr : proc_of<void (*)(ggml_backend_t, ggml_threadpool *)>(one, "ggml_backend_cpu_set_threadpool")) {
            give(one, of.threads);
        }
    }
    const ggml_backend_i & has   = inner->iface;
    ggml_backend_i         table = {};
    table.get_name         = backend_name;
    table.free             = backend_free;
    table.set_tensor_async = has.set_tensor_async != nullptr ? backend_set_async : nullptr;
    table.get_tensor_async = has.get_tensor_async != nullptr ? backend_get_async : nullptr;
    table.cpy_tensor_async = has.cpy_tensor_async != nullptr ? backend_copy_async : nullptr;
    table.synchronize      = has.synchronize != nullptr ? backend_synchronize : nullptr;
    table.graph_compute    = backend_compute;
    table.event_record     = has.event_record != nullptr ? backend_event_record : nullptr;
    table.event_wait       = has.event_wait != nullptr ? backend_event_wait : nullptr;
    table.graph_optimize   = has.graph_optimize != nullptr ? backend_optimize : nullptr;
    return new ggml_backend{&s_guid, table, device, new wrapped_backend{&of, {inner, std::move(experts), {}, {}}}};
}

ggml_backend_buffer_type_t device_buft(ggml_backend_dev_t device) { return ggml_backend_dev_buffer_type(device_of(device).inner); }
ggml_backend_buffer_type_t device_host_buft(ggml_backend_dev_t device) { return ggml_backend_dev_host_buffer_type(device_of(device).inner); }

bool device_supports_op(ggml_backend_dev_t device, const ggml_tensor * op) {
    const nbm_device & of = device_of(device);
    return of.options.computes != 0 && of.takes(op) && ggml_backend_dev_supports_op(of.inner, op);
}

bool device_supports_buft(ggml_backend_dev_t device, ggml_backend_buffer_type_t buft) {
    return buft == &device_of(device).stream_buft || buft == &device_of(device).shared_buft || ggml_backend_dev_supports_buft(device_of(device).inner, buft);
}

bool device_offload_op(ggml_backend_dev_t device, const ggml_tensor * op) { return ggml_backend_dev_offload_op(device_of(device).inner, op); }

ggml_backend_event_t device_event_new(ggml_backend_dev_t device) { return ggml_backend_event_new(device_of(device).inner); }
void device_event_free(ggml_backend_dev_t, ggml_backend_event_t event) { ggml_backend_event_free(event); }
void device_event_synchronize(ggml_backend_dev_t, ggml_backend_event_t event) { ggml_backend_event_synchronize(event); }

// --- registry: none of these devices is listed; each belongs to its model

void set_n_threads(ggml_backend_t backend, int threads) {
    for (ggml_backend_t one : {inner_of(backend), others_of(backend)}) {
        if (auto set = one == nullptr ? nullptr : proc_of<ggml_backend_set_n_threads_t>(one, "ggml_backend_set_n_threads")) {
            set(one, threads);
        }
    }
}

// Devices such as GPUs have none: for them a pass ends early between two groups.
void set_abort_callback(ggml_backend_t backend, ggml_abort_callback callback, void * data) {
    if (backend->guid == &s_guid) {
        wrapped(backend).stream.stop = {callback, data};
    }
    for (ggml_backend_t one : {inner_of(backend), others_of(backend)}) {
        if (auto set = one == nullptr ? nullptr : proc_of<ggml_backend_set_abort_callback_t>(one, "ggml_backend_set_abort_callback")) {
            set(one, callback, data);
        }
    }
}

const char *       reg_name(ggml_backend_reg_t) { return "NBM"; }
size_t             reg_count(ggml_backend_reg_t) { return 0; }
ggml_backend_dev_t reg_device(ggml_backend_reg_t, size_t) { return nullptr; }

void * reg_proc(ggml_backend_reg_t, const char * name) {
    if (std::strcmp(name, "ggml_backend_set_n_threads") == 0) {
        return (void *) set_n_threads;
    }
    if (std::strcmp(name, "ggml_backend_set_abort_callback") == 0) {
        return (void *) set_abort_callback;
    }
    return nullptr;
}

ggml_backend_reg s_reg = {GGML_BACKEND_API_VERSION, {reg_name, reg_count, reg_device, reg_proc}, nullptr};

} // namespace

ggml_backend_device nbm::make_handle(nbm_device * device) {
    const ggml_backend_device_i & has   = device->inner->iface;
    ggml_backend_device_i         table = {};
    table.get_name             = device_name;
    table.get_description      = device_description;
    table.get_memory           = device_memory;
    table.get_type             = device_type;
    table.get_props            = device_props;
    table.init_backend         = device_init;
    table.get_buffer_type      = device_buft;
    table.get_host_buffer_type = has.get_host_buffer_type != nullptr ? device_host_buft : nullptr;
    table.supports_op          = device_supports_op;
    table.supports_buft        = device_supports_buft;
    table.offload_op           = has.offload_op != nullptr ? device_offload_op : nullptr;
    table.event_new            = has.event_new != nullptr ? device_event_new : nullptr;
    table.event_free           = has.event_free != nullptr ? device_event_free : nullptr;
    table.event_synchronize    = has.event_synchronize != nullptr ? device_event_synchronize : nullptr;
    return {table, &s_reg, device};
}

static ggml_backend_buffer_type make_buft(nbm_device * device) {
    ggml_backend_buffer_type_i table = {};
    table.get_name       = buft_name;
    table.alloc_buffer   = buft_alloc;
    table.get_alignment  = buft_alignment;
    table.get_alloc_size = buft_alloc_size;
    table.is_host        = buft_is_host;
    return {table, &device->handle, device};
}

ggml_backend_buffer_type nbm::make_stream_buft(nbm_device * device) { return make_buft(device); }
ggml_backend_buffer_type nbm::make_shared_buft(nbm_device * device) { return make_buft(device); }
