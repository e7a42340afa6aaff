// The plug-in without llama.cpp: a chain of matrix products whose weights stream through a wrapped CPU device, compared bit for bit with the same
// chain resident. Prints a line a test and 'N passed, N failed' last. Usage: nbm_tests ENGINE_FOLDER
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
#include <thread>
#include <vector>

namespace {

constexpr int width = 96, layers = 9, rows = 3;

struct failed : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void require(bool holds, const std::string & what) {
    if (!holds) {
        throw failed(what);
    }
}

std::vector<float> values(int seed, size_t count) {
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
            add(layer % 2 == 0 ? weights : shared, "blk." + std::to_string(layer) + ".up.weight", width);
            add(layer % 2 == 0 ? weights : shared, "blk." + std::to_string(layer) + ".down.weight", width);
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

ggml_backend_dev_t cpu() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }

// One thread: ggml's threads spin while they wait for each other, and these tests run several computations at once.
ggml_backend_t start(ggml_backend_dev_t device) {
    ggml_backend_t backend = ggml_backend_dev_init(device, nullptr);
    require(backend != nullptr, "the device gave no stream");
    auto set = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_set_n_threads");
    require(set != nullptr, "the device hands on the number of threads");
    set(backend, 1);
    return backend;
}

std::vector<float> compute(const chain & model, ggml_backend_t backend, ggml_status expected = GGML_STATUS_SUCCESS) {
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 256 + ggml_graph_overhead(), nullptr, true});
    ggml_tensor  * input   = ggml_new_tensor_2d(context, GGML_TYPE_F32, width, rows);
    ggml_set_input(input);
    ggml_tensor * now = input;
    for (int layer = 0; layer < layers; layer++) {
        now = ggml_mul_mat(context, model.tensors[layer * 3], now);
        now = ggml_mul_mat(context, model.tensors[layer * 3 + 1], ggml_relu(context, now));
        now = ggml_add(context, now, model.tensors[layer * 3 + 2]);
    }
    now = ggml_mul_mat(context, model.tensors.back(), now);
    ggml_set_output(now);
    ggml_cgraph * graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, now);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    std::vector<float>    in = values(0, width * rows), out(width * rows);
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

std::vector<float> resident() {
    chain model(ggml_backend_dev_buffer_type(cpu()));
    for (size_t i = 0; i < model.tensors.size(); i++) {
        auto bytes = model.bytes_of(i);
        ggml_backend_tensor_set(model.tensors[i], bytes.data(), 0, ggml_nbytes(model.tensors[i]));
    }
    ggml_backend_t backend = start(cpu());
    auto           out     = compute(model, backend);
    ggml_backend_free(backend);
    return out;
}

// A temporary file with the bytes of every tensor, each at an odd place.
struct weight_file {
    std::string           path = (std::filesystem::temp_directory_path() / ("nbm-test-" + std::to_string(std::rand()) + ".bin")).string();
    std::vector<uint64_t> offsets;

    explicit weight_file(const chain & model) {
        std::ofstream file(path, std::ios::binary);
        uint64_t      at = 0;
        for (size_t i = 0; i < model.tensors.size(); i++) {
            auto        bytes = model.bytes_of(i);
            std::string gap(i % 7 * 13 + 1, '\x5a');
            file.write(gap.data(), (std::streamsize) gap.size());
            at += gap.size();
            offsets.push_back(at);
            file.write((const char *) bytes.data(), (std::streamsize) (bytes.size() * sizeof(float)));
            at += bytes.size() * sizeof(float);
        }
    }

    ~weight_file() { std::filesystem::remove(path); }
};

struct streamed {
    nbm_device * device = nullptr;
    char         error[512] = "";

    explicit streamed(uint32_t ring, uint32_t shared_batch = 0) {
        nbm_options options = {ring, 1, 1, shared_batch};
        require(nbm_device_create(cpu(), &options, &device, error, sizeof error) == NBM_OK, error);
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
            void * memory = nbm_device_tensor_bytes(device, model.tensors[i]);
            require((memory == nullptr) == on_disk(i), "tensor_bytes tells memory from file");
            if (memory != nullptr) {
                auto bytes = model.bytes_of(i);
                std::memcpy(memory, bytes.data(), bytes.size() * sizeof(float));
            }
        }
        require(nbm_device_start(device, error, sizeof error) == NBM_OK, error);
    }
};

void placement(uint32_t ring, const std::function<bool(size_t)> & on_disk) {
    const auto expected = resident();
    streamed   stream(ring);
    {
        chain       model(nbm_device_stream_buft(stream.device));
        weight_file file(model);
        stream.bind(model, file, on_disk);
        ggml_backend_t backend = start(nbm_device_handle(stream.device));
        for (int pass = 0; pass < 3; pass++) {
            require(compute(model, backend) == expected, "pass " + std::to_string(pass) + " differs from the resident chain");
        }
        nbm_stats stats;
        nbm_device_get_stats(stream.device, &stats);
        require(stats.groups == layers + 1, std::to_string(stats.groups) + " groups");
        require(stats.loads >= stats.groups, "every group was loaded");
        ggml_backend_free(backend);
    }
}

// Weights that the CPU reads where they rest, and the device streams for a batch that is large enough.
void shared_weights(uint32_t ring) {
    const auto expected = resident();
    streamed   stream(ring, rows);
    chain      model(nbm_device_stream_buft(stream.device), nbm_device_shared_buft(stream.device));
    require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    for (size_t i = 0; i < model.tensors.size(); i++) {
        void * memory = nbm_device_tensor_bytes(stream.device, model.tensors[i]);
        require(memory != nullptr, "everything rests in memory");
        auto bytes = model.bytes_of(i);
        std::memcpy(memory, bytes.data(), bytes.size() * sizeof(float));
    }
    require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    for (size_t i = 0; i < model.tensors.size(); i++) {
        const bool resting = model.tensors[i]->data == nbm_device_tensor_bytes(stream.device, model.tensors[i]);
        require(resting == (i < layers * 3 && i / 3 % 2 == 1 && i % 3 != 2), std::string(model.tensors[i]->name) + ": only shared weights are computed with where they rest");
    }
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 8, nullptr, true});
    for (int batch : {1, rows - 1, rows}) {
        ggml_tensor * product = ggml_mul_mat(context, model.tensors[3], ggml_new_tensor_2d(context, GGML_TYPE_F32, width, batch));
        require(ggml_backend_dev_supports_op(nbm_device_handle(stream.device), product) == (batch >= rows), "the device takes batches of " + std::to_string(rows));
        require(ggml_backend_dev_supports_op(cpu(), product), "the CPU takes every batch");
    }
    ggml_free(context);
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    for (int pass = 0; pass < 3; pass++) {
        require(compute(model, backend) == expected, "pass " + std::to_string(pass) + " differs from the resident chain");
    }
    ggml_backend_free(backend);
}

void truncated_file() {
    const auto  expected = resident();
    streamed    stream(2);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    require(compute(model, backend) == expected, "the whole file");
    const auto size = std::filesystem::file_size(file.path);
    std::filesystem::resize_file(file.path, size / 2);
    compute(model, backend, GGML_STATUS_FAILED);
    nbm_device_last_error(stream.device, stream.error, sizeof stream.error);
    require(std::strstr(stream.error, file.path.c_str()) != nullptr, std::string("the error names the file: ") + stream.error);
    { weight_file again(model); std::filesystem::copy_file(again.path, file.path, std::filesystem::copy_options::overwrite_existing); }
    require(compute(model, backend) == expected, "after the file is whole again");
    ggml_backend_free(backend);
}

void missing_file() {
    streamed stream(2);
    chain    model(nbm_device_stream_buft(stream.device));
    require(nbm_device_bind_file(stream.device, model.tensors[0], "/nonexistent/weights", 0, stream.error, sizeof stream.error) == NBM_IO, "a missing file is an I/O error");
    require(std::strstr(stream.error, "/nonexistent/weights") != nullptr, stream.error);
}

void wrong_order() {
    nbm_options  options = {1, 1, 1, 0};
    nbm_device * device  = nullptr;
    char         error[256];
    require(nbm_device_create(cpu(), &options, &device, error, sizeof error) == NBM_INVALID, "a ring of one slot");
    require(nbm_device_create(nullptr, &options, &device, error, sizeof error) == NBM_INVALID, "no device");
    streamed stream(2);
    chain    foreign(ggml_backend_dev_buffer_type(cpu()));
    require(nbm_device_bind_file(stream.device, foreign.tensors[0], "x", 0, error, sizeof error) == NBM_INVALID, "a tensor of another buffer");
    require(nbm_device_start(stream.device, error, sizeof error) == NBM_INVALID, "a start before the commit");
    require(nbm_device_commit(stream.device, error, sizeof error) == NBM_OK, "a device without streamed tensors");
    require(nbm_device_commit(stream.device, error, sizeof error) == NBM_INVALID, "a second commit");
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    for (size_t i = 0; i < foreign.tensors.size(); i++) {
        auto bytes = foreign.bytes_of(i);
        ggml_backend_tensor_set(foreign.tensors[i], bytes.data(), 0, ggml_nbytes(foreign.tensors[i]));
    }
    require(compute(foreign, backend) == resident(), "nothing streamed is nothing changed");
    ggml_backend_free(backend);
}

// Destroying while the loader is at work for a pass that will not come, and while another model computes.
void lifetimes() {
    const auto expected = resident();
    streamed   kept(3);
    chain      kept_model(nbm_device_stream_buft(kept.device));
    weight_file kept_file(kept_model);
    kept.bind(kept_model, kept_file, [](size_t i) { return i % 2 == 0; });
    ggml_backend_t kept_backend = start(nbm_device_handle(kept.device));
    std::thread    other([&] {
        for (int i = 0; i < 40; i++) {
            placement(2, [](size_t) { return true; });
        }
    });
    for (int i = 0; i < 100; i++) {
        require(compute(kept_model, kept_backend) == expected, "beside another model");
    }
    other.join();
    ggml_backend_free(kept_backend);
}

// Two streams of computing on one model, as two contexts would have.
void two_contexts() {
    const auto  expected = resident();
    streamed    stream(3);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return false; });
    auto work = [&] {
        ggml_backend_t backend = start(nbm_device_handle(stream.device));
        bool           same    = true;
        for (int i = 0; i < 50; i++) {
            same = same && compute(model, backend) == expected;
        }
        ggml_backend_free(backend);
        require(same, "a context's pass differs");
    };
    std::string problem;
    std::thread second([&] {
        try {
            work();
        } catch (const failed & caught) {
            problem = caught.what();
        }
    });
    work();
    second.join();
    require(problem.empty(), problem);
}

} // namespace

int main(int count, char ** arguments) {
    if (count < 2) {
        return 2;
    }
    ggml_backend_load_all_from_path(arguments[1]);
    if (cpu() == nullptr) {
        std::printf("no CPU backend in %s\n0 passed, 1 failed\n", arguments[1]);
        return 1;
    }
    struct test {
        std::string           name;
        std::function<void()> run;
    };
    std::vector<test> tests;
    for (uint32_t ring : {2u, 3u, 5u, 16u}) {
        const std::string with = " with a ring of " + std::to_string(ring);
        tests.push_back({"all in memory" + with, [ring] { placement(ring, [](size_t) { return false; }); }});
        tests.push_back({"all in a file" + with, [ring] { placement(ring, [](size_t) { return true; }); }});
        tests.push_back({"tensors in turn" + with, [ring] { placement(ring, [](size_t i) { return i % 2 == 0; }); }});
        tests.push_back({"shared weights" + with, [ring] { shared_weights(ring); }});
        tests.push_back({"layers in turn" + with, [ring] { placement(ring, [](size_t i) { return i / 3 % 2 == 0; }); }});
    }
    tests.push_back({"a file cut short fails and recovers", truncated_file});
    tests.push_back({"a missing file is told", missing_file});
    tests.push_back({"calls out of order are refused", wrong_order});
    tests.push_back({"models come and go beside each other", lifetimes});
    tests.push_back({"two contexts share one ring", two_contexts});
    int passed = 0;
    for (const test & one : tests) {
        try {
            one.run();
            passed++;
            std::printf("ok    %s\n", one.name.c_str());
        } catch (const std::exception & caught) {
            std::printf("FAIL  %s: %s\n", one.name.c_str(), caught.what());
        }
    }
    std::printf("%d passed, %d failed\n", passed, (int) tests.size() - passed);
    return passed == (int) tests.size() ? 0 : 1;
}
