// Streaming as it should go.
#include "gpus.h"
#include "tests.h"

#include "ggml-alloc.h"
#include "ggml-impl.h"

#include <chrono>
#include <thread>

namespace {

uint64_t ram_of(const chain & model, const std::function<bool(size_t)> & on_disk) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < model.tensors.size(); i++) {
        bytes += on_disk(i) ? 0 : ggml_nbytes(model.tensors[i]);
    }
    return bytes;
}

void placement(ggml_backend_dev_t inner, double ring, const std::function<bool(size_t)> & on_disk) {
    const auto expected = resident();
    const bool timed    = inner == cpu(); // the host's clock serves the host
    bool       from_files = false;
    for (size_t i = 0; i < layers * 3; i++) {
        from_files = from_files || on_disk(i);
    }
    streamed stream(ring, 0, inner, from_files);
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
        require((stats.staging_bytes > 0) == (from_files && inner != cpu()), "files are read straight into the CPU's ring: " + std::to_string(stats.staging_bytes));
        require(stats.timed == (timed ? 1 : 0), "timed as the device can tell");
        uint64_t load_ns = 0, wait_ns = 0, bytes = 0, loaded = 0;
        for (uint64_t i = 0; i < stats.groups; i++) {
            nbm_group_stats of;
            require(nbm_device_get_group_stats(stream.device, i, &of, stream.error, sizeof stream.error) == NBM_OK, stream.error);
            require(of.name == (i < layers ? "blk." + std::to_string(i) : "output"), std::string("group ") + std::to_string(i) + " is called " + of.name);
            require(of.loads > 0 && of.timed_bytes >= (timed ? of.loads * (of.ram_bytes + of.file_bytes) : 0), std::string(of.name) + ": what came is timed");
            load_ns += of.load_ns;
            wait_ns += of.wait_ns;
            loaded += of.loads * (of.ram_bytes + of.file_bytes);
            bytes += of.ram_bytes + of.file_bytes;
        }
        // The loader may be ahead of one statistic or the other, by a few groups.
        nbm_device_get_stats(stream.device, &stats);
        require(bytes == stats.file_bytes + ram_of(model, on_disk), "the groups hold every byte once");
        require(load_ns <= stats.load_ns && wait_ns <= stats.wait_ns, "the groups' times are the device's");
        require(loaded <= stats.bytes_from_ram + stats.bytes_from_file, "the groups' loads are the device's");
        nbm_group_stats none;
        require(nbm_device_get_group_stats(stream.device, stats.groups, &none, stream.error, sizeof stream.error) == NBM_INVALID, "a group that is not there");
        ggml_backend_free(backend);
    }
}

uint64_t shared_loads(const streamed & stream) {
    nbm_stats all;
    nbm_device_get_stats(stream.device, &all);
    uint64_t loads = 0;
    for (uint64_t i = 0; i < all.groups; i++) {
        nbm_group_stats one;
        char            error[256];
        require(nbm_device_get_group_stats(stream.device, i, &one, error, sizeof error) == NBM_OK, error);
        loads += one.shared != 0 ? one.loads : 0;
    }
    return loads;
}

// Weights that the CPU reads where they rest, and the device streams for a batch that is large enough. All others may come from a file.
void shared_weights(ggml_backend_dev_t inner, double ring, bool from_files) {
    const auto expected = resident(), small = resident(1, 2);
    const auto shared   = [](size_t i) { return i < layers * 3 && i / 3 % 2 == 1 && i % 3 != 2; };
    streamed    stream(ring, rows, inner, from_files);
    chain       model(nbm_device_stream_buft(stream.device), nbm_device_shared_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [&](size_t i) { return from_files && !shared(i); });
    for (size_t i = 0; i < model.tensors.size(); i++) {
        const bool resting = model.tensors[i]->data == nbm_device_tensor_bytes(stream.device, model.tensors[i]);
        require(resting == shared(i), std::string(model.tensors[i]->name) + ": only shared weights are computed with where they rest");
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
    // A small batch has no use for them: none come but those that were foreseen for one more large one.
    const uint64_t before = shared_loads(stream);
    for (int pass = 0; pass < 4; pass++) {
        require(compute(model, backend, GGML_STATUS_SUCCESS, 1, 2) == small, "a small batch differs from the resident chain");
    }
    require(shared_loads(stream) <= before + layers / 2 * 2, "shared weights came for small batches: " + std::to_string(shared_loads(stream) - before));
    // In turn, announced as they are, or as others.
    for (int pass = 0; pass < 12; pass++) {
        const bool large = pass % 3 == 0;
        nbm_device_expect(stream.device, large == (pass % 2 == 0) ? rows : 1);
        require((large ? compute(model, backend) : compute(model, backend, GGML_STATUS_SUCCESS, 1, 2)) == (large ? expected : small), "passes in turn differ from the resident chain");
    }
    ggml_backend_free(backend);
}

// Nothing else passes through the ring, which has room for one matrix of a layer and less than both.
void shared_alone(ggml_backend_dev_t inner) {
    const auto expected = resident();
    streamed   stream(0.6, rows, inner);
    chain      model(ggml_backend_dev_buffer_type(inner), nbm_device_shared_buft(stream.device));
    require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    for (size_t i = 0; i < model.tensors.size(); i++) {
        const auto bytes = model.bytes_of(i);
        if (!fill(stream.device, model.tensors[i], bytes.data())) {
            ggml_backend_tensor_set(model.tensors[i], bytes.data(), 0, bytes.size() * sizeof(float));
        }
    }
    require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    constexpr int  passes  = 3;
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    for (int pass = 0; pass < passes; pass++) {
        require(compute(model, backend) == expected, "pass " + std::to_string(pass) + " differs from the resident chain");
    }
    ggml_backend_free(backend);
    nbm_stats all;
    nbm_device_get_stats(stream.device, &all);
    require(all.groups == layers / 2 * 2, std::to_string(all.groups) + " groups");
    for (uint64_t i = 0; i < all.groups; i++) {
        nbm_group_stats one;
        require(nbm_device_get_group_stats(stream.device, i, &one, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        const std::string name = "blk." + std::to_string(i / 2 * 2 + 1) + (i % 2 == 0 ? ".ffn_up" : ".ffn_down");
        require(one.name == name, std::string("group ") + std::to_string(i) + " is called " + one.name);
        require(one.loads >= passes && one.loads <= passes + 1, name + " came " + std::to_string(one.loads) + " times"); // and once more for a pass to come
    }
}

// Nobody computes meanwhile.
void require_coming(nbm_device * device) {
    const auto came = [device] {
        nbm_stats stats;
        nbm_device_get_stats(device, &stats);
        return stats.bytes_from_ram;
    };
    const uint64_t before = came();
    nbm_device_expect(device, rows);
    for (int wait = 0; came() == before; wait++) {
        require(wait < 10000, "nothing comes for a large batch that is expected");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

nbm_group_stats group_of(const streamed & stream, uint64_t number) {
    nbm_group_stats one;
    char            error[256];
    require(nbm_device_get_group_stats(stream.device, number, &one, error, sizeof error) == NBM_OK, error);
    return one;
}

// The layer that came ahead for the next token is the first one of a large batch too.
void ahead_for_both(ggml_backend_dev_t inner) {
    streamed    stream(1.2, rows, inner);
    chain       model(nbm_device_stream_buft(stream.device), nbm_device_shared_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return false; });
    const auto settled = [&] {
        uint64_t loads = 0;
        for (int quiet = 0; quiet < 50; quiet++) {
            const uint64_t now = group_of(stream, 0).loads;
            quiet = now == loads ? quiet : 0;
            loads = now;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return loads;
    };
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    for (int pass = 0; pass < 4; pass++) {
        require(compute(model, backend, GGML_STATUS_SUCCESS, 1, 2) == resident(1, 2), "a small batch differs from the resident chain");
    }
    const uint64_t before = settled();
    nbm_device_expect(stream.device, rows);
    require(compute(model, backend, GGML_STATUS_SUCCESS, rows, 1, 2) == resident(rows, 1, 2), "a large batch differs from the resident chain");
    const uint64_t more = settled() - before;
    ggml_backend_free(backend);
    require(more == 1, std::string(group_of(stream, 0).name) + " came " + std::to_string(more) + " times, and was there: once is for the pass to come");
}

// Large batches and small ones in turn: a small one is foreseen behind both, and where a large one comes no more than the ring holds came for nothing. One that
// was announced comes as it is.
void kinds_in_turn(ggml_backend_dev_t inner, bool announced) {
    constexpr int turns = 200;
    const double  ring  = announced ? 2.3 : 1.2; // more than the first layer, which is there
    streamed    stream(ring, rows, inner);
    chain       model(nbm_device_stream_buft(stream.device), nbm_device_shared_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return false; });
    uint64_t large = 0, small = 0; // bytes that a pass needs
    for (size_t i = 0; i < model.tensors.size(); i++) {
        large += ggml_nbytes(model.tensors[i]);
        small += i / 3 % 2 == 0 || i == layers * 3 ? ggml_nbytes(model.tensors[i]) : 0;
    }
    // Without the biases of shared matrices, which come before those here, and are needed after them.
    const auto     expected = resident(rows, 1, 2), alone = resident(1, 2);
    ggml_backend_t backend  = start(nbm_device_handle(stream.device));
    for (int turn = 0; turn < turns; turn++) {
        if (announced) {
            nbm_device_expect(stream.device, 1);
            require_coming(stream.device);
        }
        require(compute(model, backend, GGML_STATUS_SUCCESS, rows, 1, 2) == expected && compute(model, backend, GGML_STATUS_SUCCESS, 1, 2) == alone, "passes in turn differ from the resident chain");
    }
    ggml_backend_free(backend);
    nbm_stats stats;
    nbm_device_get_stats(stream.device, &stats);
    const uint64_t most = turns * (large + small) + (turns + 10) * ring_of(ring, inner);
    // The first passes of either kind do not know yet that nobody needs them.
    for (uint64_t i = 0; i < stats.groups; i++) {
        nbm_group_stats bias;
        require(nbm_device_get_group_stats(stream.device, i, &bias, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        require(bias.ram_bytes != width * sizeof(float) || bias.loads <= 10, std::string(bias.name) + " is not needed and came " + std::to_string(bias.loads) + " times");
    }
    require(stats.bytes_from_ram <= most, std::to_string(stats.bytes_from_ram) + " bytes came, and passes and ring take " + std::to_string(most));
}

// Texts are encoded and decoded, decoded on, and encoded and left: what the next pass needs comes, whatever the last one did.
void encodings(ggml_backend_dev_t inner) {
    const std::vector<std::string> names = {"enc.blk.0.a", "enc.blk.1.a", "dec.blk.0.a", "dec.blk.1.a"};
    auto run = [&](ggml_backend_buffer_type_t type, ggml_backend_t backend, const std::function<void(const std::vector<ggml_tensor *> &)> & fill) {
        ggml_context * weights = ggml_init({ggml_tensor_overhead() * 8, nullptr, true});
        std::vector<ggml_tensor *> matrices;
        for (const std::string & name : names) {
            matrices.push_back(ggml_new_tensor_2d(weights, GGML_TYPE_F32, width, width));
            ggml_set_name(matrices.back(), name.c_str());
        }
        ggml_backend_buffer_t home = ggml_backend_alloc_ctx_tensors_from_buft(weights, type);
        fill(matrices);
        std::vector<float> all;
        for (const std::vector<size_t> & pass : std::vector<std::vector<size_t>>{{0, 1}, {2, 3}, {2, 3}, {2, 3}, {0, 1}, {0, 1}, {0, 1}, {2, 3}, {2, 3}, {0, 1}, {2, 3}}) {
            ggml_context * context = ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true});
            ggml_tensor  * input = ggml_new_tensor_1d(context, GGML_TYPE_F32, width), * now = input;
            for (size_t matrix : pass) {
                now = ggml_mul_mat(context, matrices[matrix], now);
            }
            ggml_cgraph * graph = ggml_new_graph(context);
            ggml_build_forward_expand(graph, now);
            ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
            const auto            in     = values(0, width);
            std::vector<float>    out(width);
            ggml_backend_tensor_set(input, in.data(), 0, ggml_nbytes(input));
            require(ggml_backend_graph_compute(backend, graph) == GGML_STATUS_SUCCESS, "computing failed");
            ggml_backend_tensor_get(now, out.data(), 0, ggml_nbytes(now));
            all.insert(all.end(), out.begin(), out.end());
            ggml_backend_buffer_free(buffer);
            ggml_free(context);
        }
        ggml_backend_buffer_free(home);
        ggml_free(weights);
        return all;
    };
    auto           bytes_of = [](size_t i) { return values((int) i + 1, width * width); };
    ggml_backend_t plain    = start(cpu());
    const auto     expected = run(ggml_backend_dev_buffer_type(cpu()), plain, [&](const std::vector<ggml_tensor *> & matrices) {
        for (size_t i = 0; i < matrices.size(); i++) {
            ggml_backend_tensor_set(matrices[i], bytes_of(i).data(), 0, ggml_nbytes(matrices[i]));
        }
    });
    ggml_backend_free(plain);
    streamed       stream(1.1, 0, inner);
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    const auto     out     = run(nbm_device_stream_buft(stream.device), backend, [&](const std::vector<ggml_tensor *> & matrices) {
        require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        for (size_t i = 0; i < matrices.size(); i++) {
            fill(stream.device, matrices[i], bytes_of(i).data());
        }
        require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    });
    require(out == expected, "an encoding or its decoding differs from the resident one");
    ggml_backend_free(backend);
}

// A product with one tensor of 19 MB, named as a layer's.
std::vector<float> product(ggml_backend_buffer_type_t type, ggml_backend_t backend, const std::function<void(ggml_tensor *)> & fill) {
    ggml_context * weights = ggml_init({ggml_tensor_overhead(), nullptr, true}), * context = ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true});
    ggml_tensor  * large = ggml_new_tensor_2d(weights, GGML_TYPE_F32, width, 50000), * input = ggml_new_tensor_1d(context, GGML_TYPE_F32, width);
    ggml_set_name(large, "blk.0.up.weight");
    ggml_backend_buffer_t home = ggml_backend_alloc_ctx_tensors_from_buft(weights, type);
    fill(large);
    ggml_tensor * result = ggml_mul_mat(context, large, input);
    ggml_cgraph * graph  = ggml_new_graph(context);
    ggml_build_forward_expand(graph, result);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    const auto            in     = values(0, width);
    std::vector<float>    out((size_t) ggml_nelements(result));
    ggml_backend_tensor_set(input, in.data(), 0, ggml_nbytes(input));
    require(ggml_backend_graph_compute(backend, graph) == GGML_STATUS_SUCCESS, "computing failed");
    ggml_backend_tensor_get(result, out.data(), 0, ggml_nbytes(result));
    for (ggml_backend_buffer_t one : {buffer, home}) {
        ggml_backend_buffer_free(one);
    }
    for (ggml_context * one : {context, weights}) {
        ggml_free(one);
    }
    return out;
}

// What is read in several pieces at once, from wherever it begins in a file.
void large_tensor(ggml_backend_dev_t inner, size_t begin) {
    const auto     bytes    = values(1, width * 50000);
    const size_t   size     = bytes.size() * sizeof(float);
    ggml_backend_t plain    = start(cpu());
    const auto     expected = product(ggml_backend_dev_buffer_type(cpu()), plain, [&](ggml_tensor * large) { ggml_backend_tensor_set(large, bytes.data(), 0, size); });
    ggml_backend_free(plain);
    temporary_file file;
    std::ofstream(file.path, std::ios::binary).write(std::string(begin, 'x').data(), (std::streamsize) begin).write((const char *) bytes.data(), (std::streamsize) size);
    streamed       stream(300, 0, inner, true);
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    const auto     out     = product(nbm_device_stream_buft(stream.device), backend, [&](ggml_tensor * large) {
        require(nbm_device_bind_file(stream.device, large, file.path.c_str(), begin, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    });
    require(out == expected, "the product differs from the resident one");
    ggml_backend_free(backend);
}

// Memory that is pinned in place, up to so many bytes, while a test runs.
struct pinning {
    explicit pinning(size_t bytes) { test_gpu_pins_in_place(bytes); }
    ~pinning() { test_gpu_pins_in_place(0); }
};

bool is_pinned(const streamed & stream) {
    nbm_stats stats;
    nbm_device_get_stats(stream.device, &stats);
    return stats.pinned != 0;
}

// What travels together is pinned as soon as it is there, and not before.
void pinned_by_parts() {
    pinning in_place(SIZE_MAX);
    {
        streamed stream(3, 0, gpu());
        chain    model(nbm_device_stream_buft(stream.device));
        require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        for (size_t i = model.tensors.size(); i-- > 0;) { // the output, and then the layers from the last on
            const int64_t parts = test_gpus_pinned_parts();
            require(!is_pinned(stream), "all is pinned before it is filled");
            require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_INVALID, "a start before all is filled");
            require(std::strstr(stream.error, "blk.0: ") != nullptr && std::strstr(stream.error, i > 1 ? std::to_string((2 * width + 1) * width * sizeof(float)).c_str() : "") != nullptr, stream.error);
            fill(stream.device, model.tensors[i], model.bytes_of(i).data());
            const bool complete = i + 1 == model.tensors.size() || i % 3 == 0;
            require(test_gpus_pinned_parts() == parts + (complete ? 1 : 0), std::string(model.tensors[i]->name) + ": " + std::to_string(test_gpus_pinned_parts()) + " parts");
        }
        require(is_pinned(stream), "all is filled");
        require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        ggml_backend_t backend = start(nbm_device_handle(stream.device));
        require(compute(model, backend) == resident(), "from pinned memory");
        ggml_backend_free(backend);
    }
    require(test_gpus_pinned_parts() == 0, "parts that stay pinned");
}

void pinned_from_several_threads() {
    pinning in_place(SIZE_MAX);
    for (int round = 0; round < 50; round++) {
        streamed stream(3, rows, gpu());
        chain    model(nbm_device_stream_buft(stream.device), nbm_device_shared_buft(stream.device));
        require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
        std::vector<std::thread> threads;
        for (size_t thread = 0; thread < 4; thread++) {
            threads.emplace_back([&, thread] {
                for (size_t i = thread; i < model.tensors.size(); i += 4) {
                    fill(stream.device, model.tensors[i], model.bytes_of(i).data());
                }
            });
        }
        for (std::thread & thread : threads) {
            thread.join();
        }
        nbm_stats stats;
        nbm_device_get_stats(stream.device, &stats);
        require(stats.pinned != 0 && test_gpus_pinned_parts() == (int64_t) stats.groups, std::to_string(test_gpus_pinned_parts()) + " parts of " + std::to_string(stats.groups));
        require(nbm_device_start(stream.device, stream.error, sizeof stream.error) == NBM_OK, stream.error);
    }
    require(test_gpus_pinned_parts() == 0, "parts that stay pinned");
}

// A part that the device refuses to pin is ordinary memory, unless that was forbidden.
void pinned_in_part() {
    pinning in_place(4 * 3 * width * width * sizeof(float));
    {
        streamed    stream(3, 0, gpu());
        chain       model(nbm_device_stream_buft(stream.device));
        weight_file file(model);
        stream.bind(model, file, [](size_t) { return false; });
        require(!is_pinned(stream) && test_gpus_pinned_parts() > 2 && test_gpus_pinned_parts() < layers, std::to_string(test_gpus_pinned_parts()) + " parts");
        ggml_backend_t backend = start(nbm_device_handle(stream.device));
        require(compute(model, backend) == resident(), "from memory of both kinds");
        ggml_backend_free(backend);
    }
    nbm_options  options = {ring_of(3, gpu()), 0, 1, 0, 0, nullptr, nullptr};
    nbm_device * device  = nullptr;
    char         error[256];
    require(nbm_device_create(gpu(), &options, &device, error, sizeof error) == NBM_OK, error);
    {
        chain model(nbm_device_stream_buft(device));
        require(nbm_device_commit(device, error, sizeof error) == NBM_OK, error);
        std::string refused;
        for (size_t i = 0; i < model.tensors.size() && refused.empty(); i++) {
            require(nbm_device_filled(device, model.tensors[i], ggml_nbytes(model.tensors[i]), error, sizeof error) == (error[0] == 0 ? NBM_OK : NBM_NO_MEMORY), error);
            refused = error;
        }
        require(refused.find("could not be pinned") != std::string::npos, refused);
    }
    nbm_device_destroy(device);
    require(test_gpus_pinned_parts() == 0, "parts that stay pinned");
}

void wrong_order() {
    nbm_options  options = {ring_of(1), 1, 1, 0, 0, nullptr, nullptr};
    nbm_device * device  = nullptr;
    char         error[256];
    require(nbm_device_create(nullptr, &options, &device, error, sizeof error) == NBM_INVALID, "no device");
    streamed short_of(0.9);
    chain    whole(nbm_device_stream_buft(short_of.device));
    require(nbm_device_commit(short_of.device, error, sizeof error) == NBM_INVALID, "a ring of less than a layer");
    require(std::strstr(error, std::to_string(ring_of(0.9)).c_str()) != nullptr && std::strstr(error, std::to_string(ring_of(1)).c_str()) != nullptr, error);
    streamed stream(2);
    chain    foreign(ggml_backend_dev_buffer_type(cpu()));
    require(nbm_device_bind_file(stream.device, foreign.tensors[0], "x", 0, error, sizeof error) == NBM_INVALID, "a tensor of another buffer");
    require(nbm_device_start(stream.device, error, sizeof error) == NBM_INVALID, "a start before the commit");
    require(nbm_device_filled(stream.device, foreign.tensors[0], 1, error, sizeof error) == NBM_INVALID, "bytes of a tensor of another buffer");
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
void lifetimes(ggml_backend_dev_t inner) {
    const auto expected = resident();
    streamed   kept(3, 0, inner);
    chain      kept_model(nbm_device_stream_buft(kept.device));
    weight_file kept_file(kept_model);
    kept.bind(kept_model, kept_file, [](size_t i) { return i % 2 == 0; });
    ggml_backend_t kept_backend = start(nbm_device_handle(kept.device));
    std::thread    other([inner] {
        for (int i = 0; i < 40; i++) {
            placement(inner, 2, [](size_t) { return true; });
        }
    });
    for (int i = 0; i < 100; i++) {
        require(compute(kept_model, kept_backend) == expected, "beside another model");
    }
    other.join();
    ggml_backend_free(kept_backend);
}

// Two streams of computing on one model, as two contexts would have.
void two_contexts(ggml_backend_dev_t inner) {
    const auto  expected = resident();
    streamed    stream(3, 0, inner);
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

// Products by a layer of the chain, by another matrix again and again, and by a further layer, which must come meanwhile: each of the products between is followed by a
// moment in which it may.
void comes_between(const streamed & stream, const chain & model, int second, bool resting, uint64_t loads) {
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    constexpr int  between = 12;
    ggml_context * context = ggml_init({ggml_tensor_overhead() * 64 + ggml_graph_overhead(), nullptr, true});
    ggml_tensor  * matrix = resting ? ggml_new_tensor_2d(context, GGML_TYPE_F32, width, width) : model.tensors[0], * now = ggml_new_tensor_2d(context, GGML_TYPE_F32, width, 1);
    for (int layer : {0, second}) {
        now = ggml_mul_mat(context, model.tensors[layer * 3 + 1], ggml_mul_mat(context, model.tensors[layer * 3], now));
        for (int i = 0; layer == 0 && i < between; i++) {
            now = ggml_mul_mat(context, matrix, now);
        }
    }
    ggml_cgraph * graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, now);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    ggml_backend_buffer_clear(buffer, 0);
    struct watch {
        nbm_device * device;
        uint64_t     loads;
        int          without = 0;
    } seen = {stream.device, loads};
    auto look = [](void * data) {
        watch   & of = *(watch *) data;
        nbm_stats stats;
        for (int i = 0; i < 100; i++) {
            nbm_device_get_stats(of.device, &stats);
            if (stats.loads >= of.loads) {
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        of.without++;
        return false;
    };
    auto set = (ggml_backend_set_abort_callback_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(nbm_device_handle(stream.device)), "ggml_backend_set_abort_callback");
    require(set != nullptr, "the device takes a request to stop");
    set(backend, look, &seen);
    const ggml_status status = ggml_backend_graph_compute(backend, graph);
    ggml_backend_buffer_free(buffer);
    ggml_free(context);
    ggml_backend_free(backend);
    require(status == GGML_STATUS_SUCCESS, "computing gave status " + std::to_string(status));
    require(seen.without < between, std::to_string(seen.without) + " nodes were computed before the second layer was there");
}

// The ring has room for one layer, and between two of them are products of weights that rest on the device.
void layers_between() {
    streamed    stream(1);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return false; });
    comes_between(stream, model, 1, true, 2);
}

// The ring has room for two layers, and between them is one that the CPU computes: only its bias comes.
void shared_between() {
    streamed    stream(2.1, rows);
    chain       model(nbm_device_stream_buft(stream.device), nbm_device_shared_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return false; });
    comes_between(stream, model, 2, false, 3);
}

// A batch's inputs are copied while layers come, on a stream of their own.
void copies_in_turn() {
    streamed    stream(5, 0, gpu());
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    test_gpu_in_a_row();
    stream.bind(model, file, [](size_t) { return false; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    for (int pass = 0; pass < 3; pass++) {
        require(compute(model, backend) == resident(), "pass " + std::to_string(pass) + " differs from the resident chain");
    }
    ggml_backend_free(backend);
    const int most = test_gpu_in_a_row();
    require(most == 1, "an input would wait for " + std::to_string(most) + " copies");
}

// Graphs of two batches in turn, each built in the same memory, as llama.cpp builds them: when both were seen, a device that records graphs finds each as it was. With shared weights
// the larger batch needs all layers, and finds those elsewhere; the smaller one leaves them to the CPU.
void recorded(double ring, bool shares) {
    streamed    stream(ring, shares ? 2 * rows : 0, gpu());
    chain       model(nbm_device_stream_buft(stream.device), shares ? nbm_device_shared_buft(stream.device) : nullptr);
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return false; });
    ggml_backend_t        backend = start(nbm_device_handle(stream.device));
    ggml_backend_buffer_t buffer  = ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(gpu()), 1 << 20);
    std::vector<uint8_t>  memory(ggml_tensor_overhead() * 256 + ggml_graph_overhead());
    uint64_t              unlike = 0;
    for (int turn = 0; turn < 8; turn++) {
        const bool large = turn % 2 == 1;
        std::fill(memory.begin(), memory.end(), (uint8_t) 0); // what is left of the last one would differ
        ggml_context * context = ggml_init({memory.size(), memory.data(), true});
        ggml_tensor  * now     = ggml_new_tensor_2d(context, GGML_TYPE_F32, width, large ? 2 * rows : rows);
        ggml_tallocr   place   = ggml_tallocr_new(buffer);
        for (size_t layer = 0; layer < layers; layer += shares && !large ? 2 : 1) {
            require(ggml_tallocr_alloc(&place, now) == GGML_STATUS_SUCCESS, "there is room");
            now = ggml_mul_mat(context, model.tensors[3 * layer], now);
        }
        require(ggml_tallocr_alloc(&place, now) == GGML_STATUS_SUCCESS, "there is room");
        ggml_cgraph * graph = ggml_new_graph(context);
        ggml_build_forward_expand(graph, now);
        graph->uid = (uint64_t) turn + 1;
        ggml_backend_buffer_clear(buffer, 0);
        const uint64_t before = test_gpu_unlike();
        for (int again = 0; again < 2; again++) {
            require(ggml_backend_graph_compute(backend, graph) == GGML_STATUS_SUCCESS, "computing failed");
        }
        unlike += turn < 4 || (shares && large) ? 0 : test_gpu_unlike() - before;
        ggml_free(context);
    }
    ggml_backend_buffer_free(buffer);
    ggml_backend_free(backend);
    require(unlike == 0, std::to_string(unlike) + " pieces would have been recorded anew");
}

} // namespace

std::vector<test> streaming_tests() {
    std::vector<test> tests;
    tests.push_back({"a layer comes while what rests on the device is multiplied by", layers_between});
    tests.push_back({"a layer comes while the one before it is computed, whatever the CPU has between them", shared_between});
    for (ggml_backend_dev_t device : {cpu(), gpu()}) {
        const std::string on = std::string(" on ") + ggml_backend_dev_name(device);
        for (double ring : {1.0, 1.3, 1.75, 2.0, 3.0, 5.0, 9.2, 16.0}) {
            const std::string with = " with a ring of " + std::to_string(ring).substr(0, 4) + " layers" + on;
            tests.push_back({"all in memory" + with, [=] { placement(device, ring, [](size_t) { return false; }); }});
            tests.push_back({"all in a file" + with, [=] { placement(device, ring, [](size_t) { return true; }); }});
            tests.push_back({"tensors in turn" + with, [=] { placement(device, ring, [](size_t i) { return i % 2 == 0; }); }});
            tests.push_back({"shared weights" + with, [=] { shared_weights(device, ring, false); }});
            tests.push_back({"shared weights beside others in a file" + with, [=] { shared_weights(device, ring, true); }});
            tests.push_back({"layers in turn" + with, [=] { placement(device, ring, [](size_t i) { return i / 3 % 2 == 0; }); }});
        }
        for (size_t begin : {0, 4093, 4096 + 32, 8192 - 64}) {
            tests.push_back({"a large tensor from byte " + std::to_string(begin) + " of a file" + on, [=] { large_tensor(device, begin); }});
        }
        tests.push_back({"shared weights alone in a ring of less than a layer" + on, [=] { shared_alone(device); }});
        tests.push_back({"texts that are encoded and decoded or not" + on, [=] { encodings(device); }});
        tests.push_back({"what came ahead for a small batch serves a large one" + on, [=] { ahead_for_both(device); }});
        tests.push_back({"large batches and small ones in turn" + on, [=] { kinds_in_turn(device, false); }});
        tests.push_back({"large batches that were announced and small ones in turn" + on, [=] { kinds_in_turn(device, true); }});
        tests.push_back({"models come and go beside each other" + on, [=] { lifetimes(device); }});
        tests.push_back({"two contexts share one ring" + on, [=] { two_contexts(device); }});
    }
    for (double ring : {1.0, 2.0, 16.0}) {
        const std::string with = " with a ring of " + std::to_string(ring).substr(0, 4) + " layers";
        tests.push_back({"graphs of two batches in turn are each recorded once" + with, [=] { recorded(ring, false); }});
        tests.push_back({"graphs of two batches in turn are each recorded once, beside shared weights" + with, [=] { recorded(ring, true); }});
    }
    tests.push_back({"copies leave room between them for others", copies_in_turn});
    tests.push_back({"what travels together is pinned when it is filled", pinned_by_parts});
    tests.push_back({"several threads fill and pin", pinned_from_several_threads});
    tests.push_back({"what cannot be pinned is ordinary memory", pinned_in_part});
    tests.push_back({"calls out of order are refused", wrong_order});
    return tests;
}
