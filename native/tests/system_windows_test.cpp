// What Windows alone does: files by names of any alphabet, and files that others hold.
#include "tests.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace {

void any_alphabet() {
    const auto  expected = resident();
    streamed    stream(2);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    const auto  named = std::filesystem::temp_directory_path() / L"nbm-\u0436\u5b57.bin";
    std::filesystem::rename(file.path, named);
    file.path = named.u8string();
    stream.bind(model, file, [](size_t) { return true; });
    ggml_backend_t backend = start(nbm_device_handle(stream.device));
    require(compute(model, backend) == expected, "a file by such a name");
    ggml_backend_free(backend);
    require(std::filesystem::remove(named), "a file that is streamed can be removed");
}

void held_file() {
    streamed    stream(2);
    chain       model(nbm_device_stream_buft(stream.device));
    weight_file file(model);
    HANDLE held = CreateFileA(file.path.c_str(), GENERIC_READ, 0, nullptr, OPEN_EXISTING, 0, nullptr);
    const nbm_status status = nbm_device_bind_file(stream.device, model.tensors[0], file.path.c_str(), file.offsets[0], stream.error, sizeof stream.error);
    CloseHandle(held);
    require(status == NBM_IO && std::strstr(stream.error, file.path.c_str()) != nullptr, std::string("the error names the file: ") + stream.error);
}

} // namespace

std::vector<test> system_tests() {
    return {
        {"a file's name may be of any alphabet", any_alphabet},
        {"a file that another program holds is told", held_file},
    };
}
