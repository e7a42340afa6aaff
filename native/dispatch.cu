// What CUDA devices have of their own.
//
// The courier: a kernel reads activations out of mapped pinned memory over the link, beside the copy engine that brings the layers. The stopwatch: events
// that keep the time, which ggml's do not.
//
// ggml-cuda's runtime and this one, which is linked statically, share the device's primary context, and events are the driver's: an event that
// ggml made is recorded on a stream of ours and waited for on ggml's.
#include "dispatch.h"

#include "ggml-backend-impl.h"

#include <cuda_runtime.h>

#include <atomic>
#include <cstring>
#include <mutex>

namespace nbm {
namespace {

constexpr size_t largest = 1u << 20; // larger tensors gain nothing over a copy
constexpr int    parcels = 8;
constexpr int    threads = 256;

__global__ void copy_words(const uint4 * __restrict__ from, uint4 * __restrict__ to, size_t words) {
    for (size_t i = blockIdx.x * (size_t) blockDim.x + threadIdx.x; i < words; i += (size_t) gridDim.x * blockDim.x) {
        to[i] = from[i];
    }
}

// Makes a device current on this thread, and puts the one that was back.
class on_device {
public:
    explicit on_device(int device) {
        cudaGetDevice(&before);
        cudaSetDevice(device);
    }
    ~on_device() { cudaSetDevice(before); }

private:
    int before = 0;
};

class cuda_courier final : public courier {
public:
    // `device` is the CUDA runtime's number.
    cuda_courier(ggml_backend_dev_t inner, int device) : device(device) {
        on_device here(device);
        int lowest = 0, highest = 0;
        cudaDeviceGetStreamPriorityRange(&lowest, &highest);
        computed = ggml_backend_event_new(inner);
        brought  = ggml_backend_event_new(inner);
        ready    = computed != nullptr && brought != nullptr && cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, highest) == cudaSuccess
                && cudaHostAlloc((void **) &memory, largest * parcels, cudaHostAllocMapped | cudaHostAllocPortable) == cudaSuccess;
        for (cudaEvent_t & one : taken) {
            ready = ready && cudaEventCreateWithFlags(&one, cudaEventDisableTiming) == cudaSuccess;
        }
        void * seen = nullptr;
        ready = ready && cudaHostGetDevicePointer(&seen, memory, 0) == cudaSuccess;
        mapped = (const uint8_t *) seen;
        cudaGetLastError(); // a failure is told by `ready` and must not be found by others
    }

    ~cuda_courier() override {
        on_device here(device);
        if (stream != nullptr) {
            cudaStreamSynchronize(stream);
            cudaStreamDestroy(stream);
        }
        for (cudaEvent_t one : taken) {
            if (one != nullptr) {
                cudaEventDestroy(one);
            }
        }
        if (memory != nullptr) {
            cudaFreeHost(memory);
        }
        for (ggml_backend_event_t one : {computed, brought}) {
            if (one != nullptr) {
                ggml_backend_event_free(one);
            }
        }
    }

    bool usable() const { return ready; }

    bool bring(const void * from, ggml_tensor * to, ggml_backend_t compute) override {
        const size_t size = ggml_nbytes(to);
        if (size == 0 || size > largest || size % sizeof(uint4) != 0 || (uintptr_t) to->data % sizeof(uint4) != 0 || !ggml_is_contiguous(to)) {
            return false;
        }
        std::lock_guard<std::mutex> lock(mutex); // contexts of one model send at the same time
        on_device                   here(device);
        const int                   parcel = next;
        if (cudaEventSynchronize(taken[parcel]) != cudaSuccess) {
            cudaGetLastError();
            return false;
        }
        next = (next + 1) % parcels;
        std::memcpy(memory + parcel * largest, from, size);
        // Behind what `compute` has been given, and before what it will be.
        ggml_backend_event_record(computed, compute);
        const size_t words  = size / sizeof(uint4);
        const int    blocks = (int) ((words + threads - 1) / threads);
        bool sent = cudaStreamWaitEvent(stream, (cudaEvent_t) computed->context, 0) == cudaSuccess;
        if (sent) {
            copy_words<<<blocks, threads, 0, stream>>>((const uint4 *) (mapped + parcel * largest), (uint4 *) to->data, words);
            sent = cudaGetLastError() == cudaSuccess && cudaEventRecord(taken[parcel], stream) == cudaSuccess
                && cudaEventRecord((cudaEvent_t) brought->context, stream) == cudaSuccess;
        }
        if (!sent) {
            cudaGetLastError();
            return false;
        }
        ggml_backend_event_wait(compute, brought);
        count++;
        return true;
    }

    uint64_t carried() const override { return count; }

private:
    const int             device;
    std::mutex            mutex;
    bool                  ready  = false;
    cudaStream_t          stream = nullptr;
    uint8_t             * memory = nullptr;
    const uint8_t       * mapped = nullptr; // the same, as the device sees it
    cudaEvent_t           taken[parcels] = {}; // the device has read a parcel
    ggml_backend_event_t  computed = nullptr;
    ggml_backend_event_t  brought  = nullptr;
    int                   next     = 0;
    std::atomic<uint64_t> count{0};
};

class cuda_stopwatch final : public stopwatch {
public:
    cuda_stopwatch(ggml_backend_dev_t inner, int device) : inner(inner), device(device) {}

    ggml_backend_event_t make() override {
        on_device   here(device);
        cudaEvent_t event = nullptr;
        if (cudaEventCreate(&event) != cudaSuccess) {
            cudaGetLastError();
            return nullptr;
        }
        return new ggml_backend_event{inner, event};
    }

    void drop(ggml_backend_event_t event) override {
        on_device here(device);
        cudaEventDestroy((cudaEvent_t) event->context);
        delete event;
    }

    bool passed(ggml_backend_event_t event) const override {
        const bool over = cudaEventQuery((cudaEvent_t) event->context) == cudaSuccess;
        cudaGetLastError(); // "not ready" must not be found by others
        return over;
    }

    uint64_t between(ggml_backend_event_t begin, ggml_backend_event_t end) const override {
        float milliseconds = 0;
        if (cudaEventElapsedTime(&milliseconds, (cudaEvent_t) begin->context, (cudaEvent_t) end->context) != cudaSuccess) {
            cudaGetLastError();
        }
        return (uint64_t) (milliseconds * 1e6f);
    }

private:
    const ggml_backend_dev_t inner;
    const int                device;
};

// The CUDA runtime's number of a device; -1 for one of another kind.
int cuda_number(ggml_backend_dev_t inner) {
    ggml_backend_reg_t     reg = ggml_backend_dev_backend_reg(inner);
    ggml_backend_dev_props props;
    ggml_backend_dev_get_props(inner, &props);
    int device = -1;
    if (reg == nullptr || std::strcmp(ggml_backend_reg_name(reg), "CUDA") != 0 || props.device_id == nullptr
        || cudaDeviceGetByPCIBusId(&device, props.device_id) != cudaSuccess) {
        cudaGetLastError();
        return -1;
    }
    return device;
}

} // namespace

std::unique_ptr<courier> make_courier(ggml_backend_dev_t inner) {
    const int device = cuda_number(inner);
    if (device < 0) {
        return nullptr;
    }
    auto made = std::make_unique<cuda_courier>(inner, device);
    return made->usable() ? std::move(made) : nullptr;
}

std::unique_ptr<stopwatch> make_stopwatch(ggml_backend_dev_t inner) {
    const int device = cuda_number(inner);
    return device < 0 ? nullptr : std::make_unique<cuda_stopwatch>(inner, device);
}

} // namespace nbm
