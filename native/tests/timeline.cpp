// When prompts and tokens of a hybrid plan end, on a GPU that is not there whose copies and products take their time: what the ring does and nobody needs shows as time.
//
//     nbm_timeline ENGINE_FOLDER ATTENTION FEEDFORWARD RING [--tokens 2] [--passes 3]
//
// ATTENTION and FEEDFORWARD have a letter for each layer: R for what rests on the GPU, S for what streams, C for what the CPU computes for tokens; RING is in MB. Layers are those of a
// Llama 2 7B in F16, on the link of an H200 (54.7 GB/s; a layer of 512 tokens in 0.75 ms, what the CPU computes for a token in 5 ms). Bytes are a hundredth of theirs and times five
// times as long, so that a busy machine's threads keep up.
#include "../nbm.h"
#include "gpus.h"

#include "ggml-alloc.h"
#include "ggml-backend-impl.h"
#include "ggml.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int    width = 290, inner = 780, batch = 512, matrices = 7; // 0.34 and 0.90 MB a matrix
constexpr double scale = 100, slower = 5, link = 54.7e9, layer_seconds = 0.75e-3, cpu_seconds = 5e-3;

const char * const names[matrices] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

struct layer {
    ggml_tensor * weights[matrices];
};

int fails(const char * what) {
    std::fprintf(stderr, "%s\n", what);
    return 1;
}

ggml_tensor * attention(ggml_context * context, const layer & of, ggml_tensor * now) {
    ggml_tensor * query = ggml_mul_mat(context, of.weights[0], now), * keys = ggml_add(context, ggml_mul_mat(context, of.weights[1], now), ggml_mul_mat(context, of.weights[2], now));
    return ggml_add(context, now, ggml_mul_mat(context, of.weights[3], ggml_add(context, query, keys)));
}

ggml_tensor * network(ggml_context * context, const layer & of, ggml_tensor * now) {
    ggml_tensor * active = ggml_swiglu_split(context, ggml_mul_mat(context, of.weights[4], now), ggml_mul_mat(context, of.weights[5], now));
    return ggml_add(context, now, ggml_mul_mat(context, of.weights[6], active));
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Prints how long it took, at what bytes alone would take, and for how long copies were given out meanwhile.
template <typename work>
void timed(const char * what, ggml_backend_t backend, double bytes, work && compute) {
    const double begun = now(), copied = test_gpu_copying();
    compute();
    ggml_backend_synchronize(backend);
    std::printf("%-6s %.4f s; its bytes take %.4f, copies took %.4f\n", what, (now() - begun) / slower, bytes * scale / link, (test_gpu_copying() - copied) / slower);
}

} // namespace

int main(int count, char ** arguments) {
    if (count < 5 || std::strlen(arguments[2]) != std::strlen(arguments[3])) {
        return fails("usage: nbm_timeline ENGINE_FOLDER ATTENTION FEEDFORWARD RING [--tokens N] [--passes N]");
    }
    int tokens = 2, passes = 3;
    for (int i = 5; i + 1 < count; i += 2) {
        (std::strcmp(arguments[i], "--tokens") == 0 ? tokens : passes) = std::atoi(arguments[i + 1]);
    }
    const std::string kinds[] = {arguments[2], arguments[3]};
    ggml_backend_load_all_from_path(arguments[1]);
    ggml_backend_register(test_gpus("4000000000"));
    test_gpu_pace(link / scale / slower, 2.0 * (4.0 * width * width + 3.0 * width * inner) * batch / (layer_seconds * slower));
    ggml_backend_dev_t gpu     = ggml_backend_dev_by_name("TWIN0");
    const nbm_options  options = {(uint64_t) (std::atof(arguments[4]) * 1e6 / scale), 1, 1, 32, 0, nullptr, nullptr};
    nbm_device       * device  = nullptr;
    char               error[512];
    if (nbm_device_create(gpu, &options, &device, error, sizeof error) != NBM_OK) {
        return fails(error);
    }

    const std::string letters = "RSC";
    ggml_context    * homes[3];
    for (ggml_context *& home : homes) {
        home = ggml_init({ggml_tensor_overhead() * matrices * kinds[0].size(), nullptr, true});
    }
    std::vector<layer> layers(kinds[0].size());
    double             for_prompts = 0, for_tokens = 0; // bytes
    for (size_t i = 0; i < layers.size(); i++) {
        for (int k = 0; k < matrices; k++) {
            const char   kind = kinds[k < 4 ? 0 : 1][i];
            const size_t home = letters.find(kind);
            if (home == std::string::npos) {
                return fails("layers are R, S or C");
            }
            ggml_tensor * weights = layers[i].weights[k] = ggml_new_tensor_2d(homes[home], GGML_TYPE_F32, k == 6 ? inner : width, k == 4 || k == 5 ? inner : width);
            ggml_set_name(weights, ("blk." + std::to_string(i) + "." + names[k] + ".weight").c_str());
            for_prompts += kind == 'R' ? 0 : (double) ggml_nbytes(weights);
            for_tokens += kind == 'S' ? (double) ggml_nbytes(weights) : 0;
        }
    }
    ggml_backend_buffer_type_t types[] = {ggml_backend_dev_buffer_type(gpu), nbm_device_stream_buft(device), nbm_device_shared_buft(device)};
    for (int i = 0; i < 3; i++) {
        ggml_backend_buffer_t buffer = ggml_get_first_tensor(homes[i]) == nullptr ? nullptr : ggml_backend_alloc_ctx_tensors_from_buft(homes[i], types[i]);
        if (buffer != nullptr) {
            ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        }
    }
    if (nbm_device_commit(device, error, sizeof error) != NBM_OK) {
        return fails(error);
    }
    for (ggml_context * home : homes) {
        for (ggml_tensor * one = ggml_get_first_tensor(home); one != nullptr; one = ggml_get_next_tensor(home, one)) {
            if (nbm_device_tensor_bytes(device, one) != nullptr) { // whose bytes nobody reads
                nbm_device_filled(device, one, ggml_nbytes(one), error, sizeof error);
            }
        }
    }
    if (nbm_device_start(device, error, sizeof error) != NBM_OK) {
        return fails(error);
    }
    ggml_backend_t backend = ggml_backend_dev_init(nbm_device_handle(device), nullptr);

    ggml_context * context = ggml_init({ggml_tensor_overhead() * 40 * layers.size() + ggml_graph_overhead() * (2 + layers.size()), nullptr, true});
    ggml_tensor  * text = ggml_new_tensor_2d(context, GGML_TYPE_F32, width, batch), * token = ggml_new_tensor_2d(context, GGML_TYPE_F32, width, 1);
    ggml_cgraph  * prompt = ggml_new_graph(context);
    std::vector<ggml_cgraph *> pieces = {ggml_new_graph(context)}; // between what the CPU computes
    for (size_t i = 0; i < layers.size(); i++) {
        text  = network(context, layers[i], attention(context, layers[i], text));
        token = attention(context, layers[i], token);
        if (kinds[1][i] == 'C') {
            ggml_build_forward_expand(pieces.back(), token);
            pieces.push_back(ggml_new_graph(context));
            token = ggml_new_tensor_2d(context, GGML_TYPE_F32, width, 1);
        } else {
            token = network(context, layers[i], token);
        }
    }
    ggml_build_forward_expand(prompt, text);
    ggml_build_forward_expand(pieces.back(), token);
    ggml_backend_alloc_ctx_tensors(context, backend);

    for (int pass = 0; pass < passes; pass++) {
        timed("prompt", backend, for_prompts, [&] { ggml_backend_graph_compute(backend, prompt); });
        for (int i = 0; i < tokens; i++) {
            timed("token", backend, for_tokens, [&] {
                for (size_t piece = 0; piece < pieces.size(); piece++) {
                    ggml_backend_graph_compute(backend, pieces[piece]);
                    std::this_thread::sleep_for(std::chrono::duration<double>(piece + 1 < pieces.size() ? cpu_seconds * slower : 0));
                }
            });
        }
    }
    std::fflush(stdout);
    std::_Exit(0); // with the loader at work for a pass that will not come
}
