// GPUs that are not there: devices with memory and streams of their own, whose memory is the host's and whose processor is the CPU. What the engine, the
// plug-in and the library do with several GPUs is tested with them where there is none.
//
// A copy or a graph that is given to one is done later by another thread, as a GPU does it; a graph that names memory of another device fails; memory beyond
// what a device has is refused, and so is host memory, but by a GPU that shares it; and what is computed is, bit for bit, what the CPU computes with one thread.
//
// As a library of its own it is loaded by ggml: GGML_BACKEND_PATH names the file, NBM_TEST_GPUS the devices.
#pragma once

#include "ggml-backend.h"

// Registers devices TWIN0, TWIN1, ... once in a process. `bytes` has the memory of each, separated by commas: 1000 for one that has 1000 bytes, 1000/500 for
// one that says so and gives 500, 1000+ for one that reads the host's memory too, 1000- for one that pins none,
// 1000= where host memory is pinned in place, for all of them.
//
// The registry's procedures "test_gpus_pinned", "test_gpus_pinned_parts", "test_gpus_set_pinned" and "test_gpus_set_other" give int64_t: bytes of the GPUs' own pinned memory, parts of
// other memory that are pinned in place, and bytes that tensors were given out of the first, and out of any other.
ggml_backend_reg_t test_gpus(const char * bytes);

// From now on copies to them and products take the time that they take at these speeds, bytes and operations a second, and nothing is copied or computed: what a GPU would be at
// work with, and when.
void test_gpu_pace(double link, double operations);

// From now on host memory is pinned in place, up to so many bytes, as CUDA does; 0 for not at all.
void test_gpu_pins_in_place(size_t bytes);
int64_t test_gpus_pinned_parts();

// Graphs so far that were not those that were given to them before with the same first node: what a GPU that records graphs records anew.
uint64_t test_gpu_unlike();

// The most copies that one stream was given in a row since it was asked, without waiting for another stream: a GPU's copy engine does them all before it looks at others.
int test_gpu_in_a_row();

// Seconds that copies to them took so far.
double test_gpu_copying();
