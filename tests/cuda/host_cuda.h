// CUDA's words for a host compiler: every thread of a grid runs here, one after the other.
//
// Threads of a block that meet at __syncthreads() are fibers: each runs up to the barrier, then the next. Kernels
// without shared memory need none, and run as plain calls.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
// A block's own memory: blocks run one after the other, so one of each is enough.
#define __shared__ static

static dim3 gridDim, blockDim, blockIdx, threadIdx;

namespace host {
alignas(16) static char dynamic_shared[1 << 18];

// Threads of a block as fibers.
struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    dim3 index;
    bool done;
};
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static size_t running;
static bool meet = false;
static void (*body)(void**);
static void** passed;

inline void barrier() {
    if (!meet) {
        std::fprintf(stderr, "a barrier in a kernel that was launched without fibers\n");
        std::abort();
    }
    swapcontext(&fibers[running].context, &scheduler);
}

inline void start() {
    body(passed);
    fibers[running].done = true;
    swapcontext(&fibers[running].context, &scheduler);
}

inline void block_of_fibers() {
    size_t n = size_t(blockDim.x) * blockDim.y * blockDim.z, left = n;
    if (fibers.size() < n) fibers.resize(n);
    for (size_t i = 0; i < n; i++) {
        Fiber& fiber = fibers[i];
        fiber.stack.resize(1 << 16);
        fiber.index = {unsigned(i % blockDim.x), unsigned(i / blockDim.x % blockDim.y),
                       unsigned(i / (blockDim.x * blockDim.y))};
        fiber.done = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, start, 0);
    }
    while (left) {
        for (running = 0; running < n; running++) {
            if (fibers[running].done) continue;
            threadIdx = fibers[running].index;
            swapcontext(&scheduler, &fibers[running].context);
            if (fibers[running].done) left--;
        }
    }
}

inline void run(void (*kernel)(void**), const unsigned* grid, const unsigned* block, void** arguments, int fibered) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = kernel, passed = arguments, meet = fibered;
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) {
                if (fibered) {
                    // What a block finds in its memory is nothing that it may rely on.
                    std::memset(dynamic_shared, 0xff, sizeof dynamic_shared);
                    block_of_fibers();
                    continue;
                }
                for (threadIdx.z = 0; threadIdx.z < blockDim.z; threadIdx.z++)
                    for (threadIdx.y = 0; threadIdx.y < blockDim.y; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++) kernel(arguments);
            }
}

// What a parameter is: p pointer, f floating, i integer, with its bytes.
template <class T>
std::string kind() {
    const char* letter = std::is_pointer_v<T> ? "p" : std::is_floating_point_v<T> ? "f" : "i";
    return letter + std::to_string(sizeof(T)) + " ";
}
template <class... T>
std::string kinds(void (*)(T...)) {
    return (std::string() + ... + kind<T>());
}
template <class... T, size_t... I>
void call(void (*kernel)(T...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<T>*>(arguments[I])...);
}
template <class... T>
void call(void (*kernel)(T...), void** arguments) {
    call(kernel, arguments, std::index_sequence_for<T...>{});
}
}  // namespace host

// Makes a kernel known to who loads the library.
#define HOST_KERNEL(name, fibered)                                                                            \
    extern "C" const char* name##_kinds() {                                                                   \
        static const std::string kinds = host::kinds(&name);                                                  \
        return kinds.c_str();                                                                                 \
    }                                                                                                         \
    extern "C" void name##_launch(const unsigned* grid, const unsigned* block, void** arguments) {            \
        host::run([](void** a) { host::call(&name, a); }, grid, block, arguments, fibered);                   \
    }

#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(host::dynamic_shared)

inline void __syncthreads() { host::barrier(); }

template <class T>
T __ldg(const T* place) {
    return *place;
}
template <class T>
T atomicAdd(T* place, T value) {
    T before = *place;
    *place = before + value;
    return before;
}
inline int atomicMin(int* place, int value) { return *place = value < *place ? value : *place; }
inline int atomicMax(int* place, int value) { return *place = value > *place ? value : *place; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline double cospi(double x) { return std::cos(3.14159265358979323846 * x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline int __float2int_rn(float x) { return int(std::nearbyint(x)); }
inline int __float2int_rd(float x) { return int(std::floor(x)); }
// IEEE 754 binary16 and back, rounded to nearest, ties to even, as the GPU's conversions.
inline float half_to_float(unsigned short half) {
    int exponent = half >> 10 & 31, fraction = half & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent     ? std::ldexp(float(1024 + fraction), exponent - 25)
                                : std::ldexp(float(fraction), -24);
    return half & 0x8000 ? -size : size;
}
inline unsigned short float_to_half(float value) {
    unsigned short sign = std::signbit(value) ? 0x8000 : 0;
    float size = std::fabs(value);
    if (std::isnan(value)) return 0x7e00;
    if (size >= 65520.0f) return sign | 0x7c00;
    int exponent = size ? std::max(std::ilogb(size), -14) : -14;
    // Rounding up to the next power of two carries into the exponent by itself.
    int steps = int(std::nearbyint(std::ldexp(size, 10 - exponent)));
    return sign + (steps < 1024 ? steps : (exponent + 15 << 10) + steps - 1024);
}
inline float __int_as_float(int x) {
    float out;
    std::memcpy(&out, &x, 4);
    return out;
}
template <class T>
T min(T a, T b) {
    return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
    return a < b ? b : a;
}
using std::abs;
