// Streaming as it should go.
#include "tests.h"

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
    streamed   stream(ring, 0, inner);
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

// Weights that the CPU reads where they rest, and the device streams for a batch that is large enough.
void shared_weights(ggml_backend_dev_t inner, double ring) {
    const auto expected = resident();
    streamed   stream(ring, rows, inner);
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
    // A small batch has no use for them: none come but those that were foreseen for one more large one.
    const uint64_t before = shared_loads(stream);
    for (int pass = 0; pass < 4; pass++) {
        compute(model, backend, GGML_STATUS_SUCCESS, 1, 2);
    }
    require(shared_loads(stream) <= before + layers / 2, "shared weights came for small batches: " + std::to_string(shared_loads(stream) - before));
    ggml_backend_free(backend);
}

void wrong_order() {
    nbm_options  options = {ring_of(1), 1, 1, 0, 1, nullptr};
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

} // namespace

std::vector<test> streaming_tests() {
    std::vector<test> tests;
    for (ggml_backend_dev_t device : {cpu(), gpu()}) {
        const std::string on = std::string(" on ") + ggml_backend_dev_name(device);
        for (double ring : {1.0, 1.3, 1.75, 2.0, 3.0, 5.0, 16.0}) {
            const std::string with = " with a ring of " + std::to_string(ring).substr(0, 4) + " layers" + on;
            tests.push_back({"all in memory" + with, [=] { placement(device, ring, [](size_t) { return false; }); }});
            tests.push_back({"all in a file" + with, [=] { placement(device, ring, [](size_t) { return true; }); }});
            tests.push_back({"tensors in turn" + with, [=] { placement(device, ring, [](size_t i) { return i % 2 == 0; }); }});
            tests.push_back({"shared weights" + with, [=] { shared_weights(device, ring); }});
            tests.push_back({"layers in turn" + with, [=] { placement(device, ring, [](size_t i) { return i / 3 % 2 == 0; }); }});
        }
        tests.push_back({"models come and go beside each other" + on, [=] { lifetimes(device); }});
        tests.push_back({"two contexts share one ring" + on, [=] { two_contexts(device); }});
    }
    tests.push_back({"calls out of order are refused", wrong_order});
    return tests;
}
