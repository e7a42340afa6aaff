// What a GPU did and when, of any program: a library that the CUDA driver loads into it.
//   g++ -O2 -shared -fPIC -I$CUDA/include -DNBM_KERNEL=CUpti_ActivityKernel10 -DNBM_COPY=CUpti_ActivityMemcpy6 -o trace.so trace.cpp -L$CUDA/lib -lcupti    (the newest records that the header has)
//   CUDA_INJECTION64_PATH=$PWD/trace.so NBM_TRACE=FILE.csv COMMAND
// A line is a kernel or a copy: start and end in ns of the host's clock, stream, then its grid or bytes, and its name. Lines stand in the order in which CUPTI gives them. Kernels of
// recorded graphs take some microseconds more to begin than without.
#include <cupti.h>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr size_t buffer_bytes = 8 << 20;
FILE * out;

void more(uint8_t ** buffer, size_t * bytes, size_t * records) {
    *buffer = static_cast<uint8_t *>(aligned_alloc(8, buffer_bytes));
    *bytes = *buffer ? buffer_bytes : 0;
    *records = 0;
}

void done(CUcontext, uint32_t, uint8_t * buffer, size_t, size_t bytes) {
    for (CUpti_Activity * record = nullptr; cuptiActivityGetNextRecord(buffer, bytes, &record) == CUPTI_SUCCESS;) {
        if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
            auto kernel = reinterpret_cast<NBM_KERNEL *>(record);
            fprintf(out, "%lu,%lu,%u,%dx%dx%d,%s\n", kernel->start, kernel->end, kernel->streamId, kernel->gridX, kernel->gridY, kernel->gridZ, kernel->name);
        } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
            auto copy = reinterpret_cast<NBM_COPY *>(record);
            fprintf(out, "%lu,%lu,%u,%lu,copy of kind %d\n", copy->start, copy->end, copy->streamId, copy->bytes, copy->copyKind);
        }
    }
    free(buffer);
}

void finish() {
    cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    fclose(out);
}

}

extern "C" int InitializeInjection() {
    const char * path = getenv("NBM_TRACE");
    if (!path || !(out = fopen(path, "w"))) {
        fprintf(stderr, "trace: NBM_TRACE names no file that can be written\n");
        return 0;
    }
    if (cuptiActivityRegisterCallbacks(more, done) != CUPTI_SUCCESS || cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS || cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY) != CUPTI_SUCCESS) {
        fprintf(stderr, "trace: CUPTI refuses\n");
        return 0;
    }
    atexit(finish);
    return 1;
}
