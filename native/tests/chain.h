// What the native tests stream: a chain of matrix products on a wrapped device, whose results are compared bit for bit with the same chain resident.
#pragma once

#include "../nbm.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

constexpr int width = 96, layers = 9, rows = 3;

struct failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void require(bool holds, const std::string & what) {
    if (!holds) {
        throw failed(what);
    }
}

// What the call that is required to hold may itself have written.
inline void require(bool holds, const char * what) { require(holds, std::string(what)); }

inline std::vector<float> values(int seed, size_t count) {
    std::vector<float> all(count);
    uint32_t           state = 2463534242u + (uint32_t) seed * 747796405u;
    for (float & one : all) {
        state = state * 1664525u + 1013904223u;
        one   = ((float) (state >> 8) / (1 << 24) - 0.5f) * 0.2f;
    }
    return all;
}

// Two matrices and a bias a layer, and an output outside the layers.
struct chain {
    ggml_context              * weights = nullptr;
    ggml_context              * shared  = nullptr; // of every second layer, where there is a type for them
    std::vector<ggml_tensor *>  tensors;
    ggml_backend_buffer_t       buffer = nullptr, shared_buffer = nullptr;

    explicit chain(ggml_backend_buffer_type_t buft, ggml_backend_buffer_type_t shared_buft = nullptr) {
        weights = ggml_init({ggml_tensor_overhead() * (layers * 3 + 2), nullptr, true});
        shared  = shared_buft == nullptr ? weights : ggml_init({ggml_tensor_overhead() * (layers * 3 + 2), nullptr, true});
        for (int layer = 0; layer < layers; layer++) {
            add(layer % 2 == 0 ? weights : shared, "blk." + std::to_string(layer) + ".ffn_up.weight", width);
            add(layer % 2 == 0 ? weights : shared, "blk." + std::to_string(layer) + ".ffn_down.weight", width);
            add(weights, "blk." + std::to_string(layer) + ".bias", 0);
        }
        add(weights, "output.weight", width);
        buffer = ggml_backend_alloc_ctx_tensors_from_buft(weights, buft);
        require(buffer != nullptr, "the weights could not be allocated");
        ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        if (shared_buft != nullptr) {
            shared_buffer = ggml_backend_alloc_ctx_tensors_from_buft(shared, shared_buft);
            require(shared_buffer != nullptr, "the shared weights could not be allocated");
        }
    }

    ~chain() {
        ggml_backend_buffer_free(buffer);
        ggml_backend_buffer_free(shared_buffer);
        if (shared != weights) {
            ggml_free(shared);
        }
        ggml_free(weights);
    }

    chain(const chain &) = delete;
    chain & operator=(const chain &) = delete;

    void add(ggml_context * context, const std::string & name, int second) {
        ggml_tensor * tensor = second > 0 ? ggml_new_tensor_2d(context, GGML_TYPE_F32, width, second) : ggml_new_tensor_1d(context, GGML_TYPE_F32, width);
        ggml_set_name(tensor, name.c_str());
        tensors.push_back(tensor);
    }

    std::vector<float> bytes_of(size_t index) const { return values((int) index + 1, (size_t) ggml_nelements(tensors[index])); }
};

inline ggml_backend_dev_t cpu() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }
inline ggml_backend_dev_t gpu() { return ggml_backend_dev_by_name("TWIN0"); }
inline ggml_backend_dev_t full_gpu() { return ggml_backend_dev_by_name("TWIN1"); }
inline ggml_backend_dev_t reading_gpu() { return ggml_backend_dev_by_name("TWIN2"); } // the host's memory

// One thread: ggml's threads spin while they wait for each other, and these tests run several computations at once.
inline ggml_backend_t start(ggml_backend_dev_t device) {
    ggml_backend_t backend = ggml_backend_dev_init(device, nullptr);
    require(backend != nullptr, "the device gave no stream");
    auto set = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads");
    require(set != nullptr, "the device hands on the number of threads");
    set(backend, 1);
    return backend;
}

// `batch` tokens, through every `step`th layer, with the biases of every layer or of every second one.
inline std::vector<float> compute(const chain & model, ggml_backend_t backend, ggml_status expected = GGML_STATUS_SUCCESS, int batch = rows, int step = 1, int biases = 1) {
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 256 + ggml_graph_overhead(), nullptr, true});
    ggml_tensor  * input   = ggml_new_tensor_2d(context, GGML_TYPE_F32, width, batch);
    ggml_set_input(input);
    ggml_tensor * now = input;
    for (int layer = 0; layer < layers; layer += step) {
        now = ggml_mul_mat(context, model.tensors[layer * 3], now);
        now = ggml_mul_mat(context, model.tensors[layer * 3 + 1], ggml_relu(context, now));
        now = layer % biases == 0 ? ggml_add(context, now, model.tensors[layer * 3 + 2]) : now;
    }
    now = ggml_mul_mat(context, model.tensors.back(), now);
    ggml_set_output(now);
    ggml_cgraph * graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, now);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    std::vector<float>    in = values(0, width * batch), out(width * batch);
    ggml_backend_tensor_set(input, in.data(), 0, in.size() * sizeof(float));
    ggml_status status = ggml_backend_graph_compute(backend, graph);
    if (status == GGML_STATUS_SUCCESS) {
        ggml_backend_tensor_get(now, out.data(), 0, out.size() * sizeof(float));
    }
    ggml_backend_buffer_free(buffer);
    ggml_free(context);
    require(status == expected, "computing gave status " + std::to_string(status));
    return out;
}

inline std::vector<float> resident(int batch = rows, int step = 1, int biases = 1) {
    chain model(ggml_backend_dev_buffer_type(cpu()));
    for (size_t i = 0; i < model.tensors.size(); i++) {
        auto bytes = model.bytes_of(i);
        ggml_backend_tensor_set(model.tensors[i], bytes.data(), 0, ggml_nbytes(model.tensors[i]));
    }
    ggml_backend_t backend = start(cpu());
    auto           out     = compute(model, backend, GGML_STATUS_SUCCESS, batch, step, biases);
    ggml_backend_free(backend);
    return out;
}

struct temporary_file {
    std::string path = (std::filesystem::temp_directory_path() / ("nbm-test-" + std::to_string(std::rand()) + ".bin")).string();

    temporary_file() = default;
    ~temporary_file() { std::filesystem::remove(path); }
    temporary_file(const temporary_file &) = delete;
    temporary_file & operator=(const temporary_file &) = delete;
};

// A temporary file with the bytes of every tensor: two at odd places, one where a tensor may begin in memory, one where a block begins, and so on.
struct weight_file : temporary_file {
    std::vector<uint64_t> offsets;

    explicit weight_file(const chain & model) { write(model); }

    void write(const chain & model) {
        offsets.clear();
        std::ofstream file(path, std::ios::binary);
        uint64_t      at = 0;
        for (size_t i = 0; i < model.tensors.size(); i++) {
            auto        bytes = model.bytes_of(i);
            size_t      unit = i % 4 < 2 ? 1 : i % 4 == 2 ? 32 : 4096, odd = i % 7 * 13 + 1;
            std::string gap((at + odd + unit - 1) / unit * unit - at, '\x5a');
            file.write(gap.data(), (std::streamsize) gap.size());
            at += gap.size();
            offsets.push_back(at);
            file.write((const char *) bytes.data(), (std::streamsize) (bytes.size() * sizeof(float)));
            at += bytes.size() * sizeof(float);
        }
    }
};

// Bytes of a ring for this many of the chain's layers. In the CPU's, what files are read into has a block more than it fills.
inline uint64_t ring_of(double of_layers, ggml_backend_dev_t device = cpu(), bool from_files = false) {
    const bool   in_place  = from_files && device == cpu();
    const size_t alignment = in_place ? 4096 : ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(device));
    auto         room      = [&](size_t bytes) { return (bytes + alignment - 1) / alignment * alignment + (in_place ? alignment : 0); };
    return (uint64_t) (of_layers * (double) (2 * room(width * width * sizeof(float)) + room(width * sizeof(float)))) + (in_place ? 0 : alignment);
}

// Fills a tensor's place in the store, in two pieces. False, and nothing done, where it has none.
inline bool fill(nbm_device * device, const ggml_tensor * tensor, const void * bytes) {
    uint8_t * memory = (uint8_t *) nbm_device_tensor_bytes(device, tensor);
    if (memory == nullptr) {
        return false;
    }
    char         error[256];
    const size_t all = ggml_nbytes(tensor);
    for (size_t from = 0, to = all / 3; from < all; from = to, to = all) {
        std::memcpy(memory + from, (const uint8_t *) bytes + from, to - from);
        require(nbm_device_filled(device, tensor, to - from, error, sizeof error) == NBM_OK, error);
    }
    return true;
}

struct streamed {
    nbm_device * device = nullptr;
    char         error[512] = "";

    explicit streamed(double ring, uint32_t shared_batch = 0, ggml_backend_dev_t inner = cpu(), bool from_files = false, uint32_t linked_experts = 0) {
        nbm_options options = {ring_of(ring, inner, from_files), 1, 1, shared_batch, linked_experts, nullptr, linked_experts > 0 ? cpu() : nullptr};
        require(nbm_device_create(inner, &options, &device, error, sizeof error) == NBM_OK, error);
    }
    ~streamed() { nbm_device_destroy(device); }
    streamed(const streamed &) = delete;
    streamed & operator=(const streamed &) = delete;

    void bind(const chain & model, const weight_file & file, const std::function<bool(size_t)> & on_disk) {
        for (size_t i = 0; i < model.tensors.size(); i++) {
            if (on_disk(i)) {
                require(nbm_device_bind_file(device, model.tensors[i], file.path.c_str(), file.offsets[i], error, sizeof error) == NBM_OK, error);
            }
        }
        require(nbm_device_commit(device, error, sizeof error) == NBM_OK, error);
        for (size_t i = 0; i < model.tensors.size(); i++) {
            require(fill(device, model.tensors[i], model.bytes_of(i).data()) != on_disk(i), "tensor_bytes tells memory from file");
        }
        require(nbm_device_start(device, error, sizeof error) == NBM_OK, error);
    }
};
