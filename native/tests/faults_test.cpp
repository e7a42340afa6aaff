// What goes wrong while weights stream: damaged files, devices that refuse memory or will not stop.
#include "tests.h"

namespace {

void truncated_file(ggml_backend_dev_t inner) {
    const auto  expected = resident();
    streamed    stream(2, 0, inner);
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
    file.write(model);
    require(compute(model, backend) == expected, "after the file is whole again");
    ggml_backend_free(backend);
}

void missing_file() {
    streamed stream(2);
    chain    model(nbm_device_stream_buft(stream.device));
    require(nbm_device_bind_file(stream.device, model.tensors[0], "/nonexistent/weights", 0, stream.error, sizeof stream.error) == NBM_IO, "a missing file is an I/O error");
    require(std::strstr(stream.error, "/nonexistent/weights") != nullptr, stream.error);
}

void refusing_device() {
    streamed stream(3, 0, full_gpu());
    chain    model(nbm_device_stream_buft(stream.device));
    require(nbm_device_commit(stream.device, stream.error, sizeof stream.error) == NBM_NO_MEMORY, "a ring on a full device");
    require(std::strstr(stream.error, std::to_string(ring_of(3, full_gpu())).c_str()) != nullptr, std::string("the error tells the bytes: ") + stream.error);
}

// GPUs cannot be told to stop.
void stopped_pass() {
    const auto  expected = resident();
    streamed    stream(2, 0, gpu());
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    auto set = (ggml_backend_set_abort_callback_t) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(nbm_device_handle(stream.device)), "ggml_backend_set_abort_callback");
    require(set != nullptr, "the device takes a request to stop");
    require(compute(model, backend) == expected, "a pass that nobody stops");
    nbm_stats before, after;
    nbm_device_get_stats(stream.device, &before);
    int groups_left = 3;
    set(backend, [](void * left) { return --*(int *) left < 0; }, &groups_left);
    compute(model, backend, GGML_STATUS_ABORTED);
    nbm_device_get_stats(stream.device, &after);
    require(after.loads - before.loads <= 3 + 2, "a stopped pass brought " + std::to_string(after.loads - before.loads) + " groups");
    set(backend, nullptr, nullptr);
    require(compute(model, backend) == expected, "the pass after a stopped one");
    ggml_backend_free(backend);
}

} // namespace

std::vector<test> fault_tests() {
    return {
        {"a file cut short fails and recovers", [] { truncated_file(cpu()); }},
        {"a file cut short fails and recovers on a GPU", [] { truncated_file(gpu()); }},
        {"a missing file is told", missing_file},
        {"a device that refuses memory is told", refusing_device},
        {"a pass ends early between two groups", stopped_pass},
    };
}
