// Experts of one token, divided between a device that reads their weights where they rest and the CPU.
#include "tests.h"

#include <algorithm>

namespace {

constexpr int experts = 6, used = 3, inner_width = 64, blocks = 4;

// What stands between the products: one matrix for both factors or two, biases or none.
struct kind {
    bool together = false;
    bool biases   = false;
};

// Layers of experts whose routers are given. Of every second layer the weights rest on the device.
struct mixture {
    kind                        of;
    ggml_context              * resting = ggml_init({ggml_tensor_overhead() * 64, nullptr, true});
    ggml_context              * linked  = ggml_init({ggml_tensor_overhead() * 64, nullptr, true});
    std::vector<ggml_tensor *>  tensors;
    ggml_backend_buffer_t       buffers[2] = {};

    mixture(kind of, ggml_backend_buffer_type_t resting_buft, ggml_backend_buffer_type_t linked_buft) : of(of) {
        for (int block = 0; block < blocks; block++) {
            ggml_context    * to   = block % 2 == 0 ? linked : resting;
            const std::string name = "blk." + std::to_string(block) + ".ffn_";
            if (of.together) {
                add(to, name + "gate_up_exps", width, 2 * inner_width);
            } else {
                add(to, name + "gate_exps", width, inner_width);
                add(to, name + "up_exps", width, inner_width);
            }
            add(to, name + "down_exps", inner_width, width);
        }
        buffers[0] = ggml_backend_alloc_ctx_tensors_from_buft(resting, resting_buft);
        buffers[1] = ggml_backend_alloc_ctx_tensors_from_buft(linked, linked_buft);
        require(buffers[0] != nullptr && buffers[1] != nullptr, "the weights could not be allocated");
    }
    ~mixture() {
        for (ggml_backend_buffer_t one : buffers) {
            ggml_backend_buffer_free(one);
        }
        ggml_free(resting);
        ggml_free(linked);
    }
    mixture(const mixture &) = delete;
    mixture & operator=(const mixture &) = delete;

    void add(ggml_context * context, const std::string & name, int64_t in, int64_t out) {
        tensors.push_back(ggml_new_tensor_3d(context, GGML_TYPE_F32, in, out, experts));
        ggml_set_name(tensors.back(), (name + ".weight").c_str());
        if (of.biases) {
            tensors.push_back(ggml_new_tensor_2d(context, GGML_TYPE_F32, out, experts));
            ggml_set_name(tensors.back(), (name + ".bias").c_str());
        }
    }

    void fill(nbm_device * device = nullptr) const {
        for (size_t i = 0; i < tensors.size(); i++) {
            const auto bytes = values((int) i + 1, (size_t) ggml_nelements(tensors[i]));
            if (device == nullptr || !::fill(device, tensors[i], bytes.data())) {
                ggml_backend_tensor_set(tensors[i], bytes.data(), 0, bytes.size() * sizeof(float));
            }
        }
    }

    ggml_tensor * product(ggml_context * context, size_t & next, ggml_tensor * with, ggml_tensor * ids) const {
        ggml_tensor * result = ggml_mul_mat_id(context, tensors[next++], with, ids);
        return of.biases ? ggml_add_id(context, result, tensors[next++], ids) : result;
    }
};

// `tokens` tokens through all layers. An answer of the wrong rows shows in every later layer. With `seen` an activation between two products is an output too.
std::vector<float> compute(const mixture & model, ggml_backend_t backend, int tokens, bool seen = false) {
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 256 + ggml_graph_overhead(), nullptr, true});
    ggml_tensor  * input   = ggml_new_tensor_3d(context, GGML_TYPE_F32, width, 1, tokens);
    std::vector<ggml_tensor *> orders;
    ggml_tensor * now = input, * between = nullptr;
    size_t        next = 0;
    for (int block = 0; block < blocks; block++) {
        orders.push_back(ggml_new_tensor_2d(context, GGML_TYPE_I32, experts, tokens)); // as a sort leaves them: the first ones are used
        ggml_tensor * ids = ggml_view_2d(context, orders.back(), used, tokens, orders.back()->nb[1], 0);
        ggml_tensor * active;
        if (model.of.together) {
            ggml_tensor * both = model.product(context, next, now, ids);
            ggml_tensor * gate = ggml_view_3d(context, both, inner_width, used, tokens, both->nb[1], both->nb[2], 0);
            ggml_tensor * up   = ggml_view_3d(context, both, inner_width, used, tokens, both->nb[1], both->nb[2], inner_width * sizeof(float));
            active = ggml_swiglu_split(context, gate, up);
        } else {
            ggml_tensor * gate = model.product(context, next, now, ids);
            active = ggml_swiglu_split(context, gate, model.product(context, next, now, ids));
        }
        if (seen && block == 0) {
            between = active;
            ggml_set_output(active);
        }
        ggml_tensor * out = model.product(context, next, active, ids), * sum = nullptr;
        for (int i = 0; i < used; i++) {
            ggml_tensor * one = ggml_view_3d(context, out, width, 1, tokens, out->nb[1], out->nb[2], i * out->nb[1]);
            one = ggml_scale(context, ggml_cont(context, one), 0.25f * (float) (i + 1)); // in another order they would be other sums
            sum = sum == nullptr ? one : ggml_add(context, sum, one);
        }
        now = ggml_add(context, now, sum);
    }
    ggml_cgraph * graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, now);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    const auto            in     = values(0, (size_t) (width * tokens));
    ggml_backend_tensor_set(input, in.data(), 0, ggml_nbytes(input));
    for (int block = 0; block < blocks; block++) {
        std::vector<int32_t> order;
        for (int i = 0; i < experts * tokens; i++) {
            order.push_back((i % experts * 5 + block + i / experts) % experts); // 5 and 6 have no common divisor
        }
        ggml_backend_tensor_set(orders[(size_t) block], order.data(), 0, ggml_nbytes(orders[(size_t) block]));
    }
    const ggml_status status = ggml_backend_graph_compute(backend, graph);
    std::vector<float> out((size_t) (width * tokens)), active(between == nullptr ? 0 : (size_t) ggml_nelements(between));
    if (status == GGML_STATUS_SUCCESS) {
        ggml_backend_tensor_get(now, out.data(), 0, out.size() * sizeof(float));
        if (between != nullptr) {
            ggml_backend_tensor_get(between, active.data(), 0, active.size() * sizeof(float));
        }
    }
    ggml_backend_buffer_free(buffer);
    ggml_free(context);
    require(status == GGML_STATUS_SUCCESS, "computing gave status " + std::to_string(status));
    out.insert(out.end(), active.begin(), active.end());
    return out;
}

std::vector<float> resident(kind of, int tokens, bool seen = false) {
    mixture model(of, ggml_backend_cpu_buffer_type(), ggml_backend_cpu_buffer_type());
    model.fill();
    ggml_backend_t backend = start(cpu());
    auto           out     = compute(model, backend, tokens, seen);
    ggml_backend_free(backend);
    return out;
}

uint64_t link_bytes(const streamed & stream) {
    nbm_stats stats;
    nbm_device_get_stats(stream.device, &stats);
    return stats.link_bytes;
}

void divided(ggml_backend_dev_t inner, kind of, uint32_t count, bool seen) {
    const auto expected = resident(of, 1, seen);
    streamed   stream(8, 32, inner, false, count);
    mixture    model(of, ggml_backend_dev_buffer_type(inner), nbm_device_shared_buft(stream.device));
    require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    model.fill(stream.device);
    require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    for (int pass = 0; pass < 5; pass++) {
        require(compute(model, backend, 1, seen) == expected, "pass " + std::to_string(pass) + " differs from the resident experts");
    }
    uint64_t read = 0; // by one pass
    for (const ggml_tensor * tensor : model.tensors) {
        const bool counts = tensor->ne[2] > 1 && std::atoi(tensor->name + std::strlen("blk.")) % 2 == 0;
        read += counts ? std::min(count, (uint32_t) used) * tensor->nb[2] : 0;
    }
    // What somebody wants to see between two products is computed by the device alone.
    require(seen || link_bytes(stream) == 5 * read, std::to_string(link_bytes(stream)) + " bytes were read, and not " + std::to_string(5 * read));
    ggml_backend_free(backend);
}

// A prompt's experts travel as all shared weights do, and those of a few tokens are the CPU's.
void taken() {
    streamed stream(8, 32, cpu(), false, 1);
    mixture  model({}, ggml_backend_cpu_buffer_type(), nbm_device_shared_buft(stream.device));
    require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    model.fill(stream.device);
    require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 16, nullptr, true});
    for (int tokens : {1, 2, 31, 32}) {
        ggml_tensor * product = ggml_mul_mat_id(context, model.tensors[0], ggml_new_tensor_3d(context, GGML_TYPE_F32, width, 1, tokens), ggml_new_tensor_2d(context, GGML_TYPE_I32, used, tokens));
        require(ggml_backend_dev_supports_op(nbm_device_handle(stream.device), product) == (tokens == 1 || tokens == 32), "whose the experts of " + std::to_string(tokens) + " tokens are");
    }
    ggml_free(context);
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    for (int tokens : {32, 1, 1, 40, 1}) {
        require(compute(model, backend, tokens) == resident({}, tokens), std::to_string(tokens) + " tokens differ from the resident experts");
    }
    ggml_backend_free(backend);
}

void not_without_reading() {
    require(nbm_reads_host_memory(cpu()) == 1 && nbm_reads_host_memory(reading_gpu()) == 1 && nbm_reads_host_memory(gpu()) == 0, "which devices read the host's memory");
    streamed       stream(8, 32, gpu(), false, 1);
    mixture        model({}, ggml_backend_dev_buffer_type(gpu()), nbm_device_shared_buft(stream.device));
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 4, nullptr, true});
    ggml_tensor  * product = ggml_mul_mat_id(context, model.tensors[0], ggml_new_tensor_3d(context, GGML_TYPE_F32, width, 1, 1), ggml_new_tensor_2d(context, GGML_TYPE_I32, used, 1));
    require(!ggml_backend_dev_supports_op(nbm_device_handle(stream.device), product), "a device that cannot read host memory takes no linked experts");
    ggml_free(context);
    nbm_options  options = {ring_of(1), 1, 1, 32, 1, nullptr, nullptr};
    nbm_device * device  = nullptr;
    require(nbm_device_create(cpu(), &options, &device, stream.error, sizeof stream.error) == NBM_INVALID, "linked experts without a CPU");
}

} // namespace

std::vector<test> experts_tests() {
    std::vector<test> tests;
    for (ggml_backend_dev_t device : {cpu(), reading_gpu()}) {
        for (bool together : {false, true}) {
            for (bool biases : {false, true}) {
                for (uint32_t count : {1u, 2u, 3u, 4u}) {
                    const std::string name = std::to_string(count) + " of 3 experts linked, " + (together ? "both factors in one product" : "a product for each factor") + (biases ? ", biases" : "") + " on " + ggml_backend_dev_name(device);
                    tests.push_back({name, [=] { divided(device, {together, biases}, count, false); }});
                }
            }
        }
        tests.push_back({std::string("an activation of linked experts is an output on ") + ggml_backend_dev_name(device), [=] { divided(device, {}, 1, true); }});
    }
    tests.push_back({"passes of other lengths leave linked experts to the CPU, or bring them", taken});
    tests.push_back({"experts are linked where the device reads host memory alone", not_without_reading});
    return tests;
}
