// What CUDA devices have of their own.
//
// The courier: a kernel reads activations out of mapped pinned memory over the link, beside the copy engine that brings the layers; where another device computed them, a kernel
// there wrote them into it. The stopwatch: events that keep the time, which ggml's do not.
//
// ggml-cuda's runtime and this one, which is linked statically, share the device's primary context, and events are the driver's: an event that
// ggml made is recorded on a stream of ours and waited for on ggml's.
#include "dispatch.h"

#include "ggml-backend-impl.h"

#include <cuda_runtime.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

namespace nbm {
inline namespace on_cuda { // with a name: of one without, nvcc makes up a part of its symbols from the folder

constexpr size_t largest = 1u << 20; // of what a parcel holds
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

// One device's side of a copy: a stream of ours that works behind what the device was given and before what it will be.
class side {
public:
    explicit side(ggml_backend_dev_t inner) : device(cuda_number(inner)) {
        on_device here(device);
        int lowest = 0, highest = 0;
        cudaDeviceGetStreamPriorityRange(&lowest, &highest);
        before = ggml_backend_event_new(inner);
        after  = ggml_backend_event_new(inner);
        ready  = before != nullptr && after != nullptr && cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, highest) == cudaSuccess;
        cudaGetLastError(); // a failure is told by `ready` and must not be found by others
    }
    ~side() {
        on_device here(device);
        if (stream != nullptr) {
            cudaStreamSynchronize(stream);
            cudaStreamDestroy(stream);
        }
        for (ggml_backend_event_t one : {before, after}) {
            if (one != nullptr) {
                ggml_backend_event_free(one);
            }
        }
    }
    side(const side &) = delete;
    side & operator=(const side &) = delete;

    bool usable() const { return ready; }

    // Ours begins when what `compute` has been given is done.
    bool follow(ggml_backend_t compute) {
        ggml_backend_event_record(before, compute);
        return cudaStreamWaitEvent(stream, (cudaEvent_t) before->context, 0) == cudaSuccess;
    }

    bool copy(const void * from, void * to, size_t size) {
        on_device    here(device);
        const size_t words  = size / sizeof(uint4);
        const int    blocks = (int) ((words + threads - 1) / threads);
        copy_words<<<blocks, threads, 0, stream>>>((const uint4 *) from, (uint4 *) to, words);
        return cudaGetLastError() == cudaSuccess && cudaEventRecord((cudaEvent_t) after->context, stream) == cudaSuccess;
    }

    bool wait() { return cudaEventSynchronize((cudaEvent_t) after->context) == cudaSuccess; }

    // What comes after the last copy here, on another device's side or on a backend.
    bool precede(side & other) { return cudaStreamWaitEvent(other.stream, (cudaEvent_t) after->context, 0) == cudaSuccess; }
    void precede(ggml_backend_t compute) { ggml_backend_event_wait(compute, after); }

    bool record(cudaEvent_t event) { return cudaEventRecord(event, stream) == cudaSuccess; }

private:
    const int            device;
    bool                 ready  = false;
    cudaStream_t         stream = nullptr;
    ggml_backend_event_t before = nullptr;
    ggml_backend_event_t after  = nullptr;
};

class cuda_courier final : public courier {
public:
    // `device` is the CUDA runtime's number.
    cuda_courier(ggml_backend_dev_t inner, int device) : device(device), own(inner) {
        on_device here(device);
        ready = own.usable() && cudaHostAlloc((void **) &memory, largest * parcels, cudaHostAllocMapped | cudaHostAllocPortable) == cudaSuccess;
        for (cudaEvent_t & one : taken) {
            ready = ready && cudaEventCreateWithFlags(&one, cudaEventDisableTiming) == cudaSuccess;
        }
        ready = ready && (mapped = seen_by(device)) != nullptr;
        cudaGetLastError();
    }

    ~cuda_courier() override {
        others.clear();
        on_device here(device);
        for (cudaEvent_t one : taken) {
            if (one != nullptr) {
                cudaEventSynchronize(one);
                cudaEventDestroy(one);
            }
        }
        if (memory != nullptr) {
            cudaFreeHost(memory);
        }
    }

    bool usable() const { return ready; }

    bool bring(const void * from, ggml_tensor * to, ggml_backend_t compute) override {
        const size_t size = ggml_nbytes(to);
        if (!takes(to, size)) {
            return false;
        }
        std::lock_guard<std::mutex> lock(mutex); // contexts of one model send at the same time
        if (size > largest) {
            return fetch(from, to, size, compute);
        }
        const int parcel = next_parcel();
        if (parcel < 0) {
            return false;
        }
        std::memcpy(memory + parcel * largest, from, size);
        return deliver(parcel, to, size, compute);
    }

    bool pass(const ggml_tensor * from, ggml_backend_t source, ggml_tensor * to, ggml_backend_t compute) override {
        const size_t size = ggml_nbytes(to);
        std::lock_guard<std::mutex> lock(mutex);
        other * sender = sender_of(ggml_backend_get_device(source));
        if (sender == nullptr || size > largest || !takes(from, size) || !takes(to, size)) {
            return false;
        }
        const int parcel = next_parcel();
        if (parcel < 0) {
            return false;
        }
        const bool written = sender->of.follow(source) && sender->of.copy(from->data, sender->mapped + parcel * largest, size) && sender->of.precede(own);
        if (!written) {
            cudaGetLastError();
            return false;
        }
        sender->of.precede(source);
        return deliver(parcel, to, size, compute);
    }

    uint64_t carried() const override { return count; }

private:
    // A device that sends, and the parcels as it sees them.
    struct other {
        other(ggml_backend_dev_t inner, int number) : number(number), of(inner) {}
        const int number; // the runtime's
        side      of;
        uint8_t * mapped = nullptr;
    };

    static bool takes(const ggml_tensor * tensor, size_t size) {
        return size > 0 && size % sizeof(uint4) == 0 && (uintptr_t) tensor->data % sizeof(uint4) == 0 && ggml_is_contiguous(tensor) && ggml_nbytes(tensor) == size;
    }

    uint8_t * seen_by(int device) const {
        on_device here(device);
        void    * seen = nullptr;
        if (cudaHostGetDevicePointer(&seen, memory, 0) != cudaSuccess) {
            cudaGetLastError();
            return nullptr;
        }
        return (uint8_t *) seen;
    }

    // The next parcel, once the device has read what was in it; -1 where that cannot be known.
    int next_parcel() {
        const int parcel = next;
        if (cudaEventSynchronize(taken[parcel]) != cudaSuccess) {
            cudaGetLastError();
            return -1;
        }
        next = (next + 1) % parcels;
        return parcel;
    }

    bool deliver(int parcel, ggml_tensor * to, size_t size, ggml_backend_t compute) {
        if (!own.follow(compute) || !own.copy(mapped + parcel * largest, to->data, size) || !own.record(taken[parcel])) {
            cudaGetLastError();
            return false;
        }
        own.precede(compute);
        count++;
        return true;
    }

    // What is too large for a parcel is read where it is, if the device can, and waited for.
    bool fetch(const void * from, ggml_tensor * to, size_t size, ggml_backend_t compute) {
        on_device             here(device);
        cudaPointerAttributes is{};
        const bool readable = cudaPointerGetAttributes(&is, from) == cudaSuccess && is.type == cudaMemoryTypeHost && is.devicePointer != nullptr && (uintptr_t) is.devicePointer % sizeof(uint4) == 0;
        if (!readable || !own.follow(compute) || !own.copy(is.devicePointer, to->data, size) || !own.wait()) {
            cudaGetLastError();
            return false;
        }
        own.precede(compute);
        count++;
        return true;
    }

    other * sender_of(ggml_backend_dev_t from) {
        const int number = cuda_number(from);
        if (number < 0 || number == device) {
            return nullptr;
        }
        other * made = nullptr;
        for (const std::unique_ptr<other> & one : others) {
            made = one->number == number ? one.get() : made;
        }
        if (made == nullptr) {
            others.push_back(std::make_unique<other>(from, number));
            made         = others.back().get();
            made->mapped = seen_by(number);
            link_with(number);
        }
        return made->of.usable() && made->mapped != nullptr ? made : nullptr;
    }

    // Large tensors go by the devices' own copies, which pass through host memory unless one may reach into the other. Between slots of a board that is not always safe;
    // over NVLink, which alone has atomics, it is.
    void link_with(int number) const {
        on_device here(device);
        int atomics = 0;
        if (cudaDeviceGetP2PAttribute(&atomics, cudaDevP2PAttrNativeAtomicSupported, device, number) == cudaSuccess && atomics != 0) {
            cudaDeviceEnablePeerAccess(number, 0);
        }
        cudaGetLastError(); // it may be so already
    }

    const int             device;
    std::mutex            mutex;
    bool                  ready  = false;
    side                  own;
    uint8_t             * memory = nullptr;
    const uint8_t       * mapped = nullptr; // the same, as the device sees it
    cudaEvent_t           taken[parcels] = {}; // the device has read a parcel
    int                   next     = 0;
    std::atomic<uint64_t> count{0};
    std::vector<std::unique_ptr<other>> others;
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

} // namespace on_cuda

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

bool maps_host_memory(ggml_backend_dev_t inner) {
    const int device = cuda_number(inner);
    int       same_addresses = 0;
    if (device >= 0 && cudaDeviceGetAttribute(&same_addresses, cudaDevAttrCanUseHostPointerForRegisteredMem, device) != cudaSuccess) {
        cudaGetLastError();
    }
    return same_addresses != 0;
}

} // namespace nbm
