// The plug-in without llama.cpp. Prints a line a test and 'N passed, N failed' last. Usage: nbm_tests ENGINE_FOLDER
#include "gpus.h"
#include "tests.h"

int main(int count, char ** arguments) {
    if (count < 2) {
        return 2;
    }
    ggml_backend_load_all_from_path(arguments[1]);
    if (cpu() == nullptr) {
        std::printf("no CPU backend in %s\n0 passed, 1 failed\n", arguments[1]);
        return 1;
    }
    ggml_backend_register(test_gpus("40000000,1000,40000000+"));
    int passed = 0, all = 0;
    for (const std::vector<test> & group : {streaming_tests(), experts_tests(), fault_tests(), system_tests()}) {
        for (const test & one : group) {
            all++;
            try {
                one.run();
                passed++;
                std::printf("ok    %s\n", one.name.c_str());
            } catch (const std::exception & caught) {
                std::printf("FAIL  %s: %s\n", one.name.c_str(), caught.what());
            }
        }
    }
    std::printf("%d passed, %d failed\n", passed, all - passed);
    std::fflush(stdout); // before a sanitizer ends the process with its report
    return passed == all ? 0 : 1;
}
