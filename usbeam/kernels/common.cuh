// What several kernels share. Plain CUDA C++: NVRTC compiles it for a GPU, and any C++17 compiler that defines CUDA's
// words for the host compiles it for the tests.
#pragma once

// A block's own memory, as large as the launch says.
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name)                                    \
    extern __shared__ __align__(16) unsigned char name##_bytes[];     \
    type* name = reinterpret_cast<type*>(name##_bytes)
#endif

// Index of this thread along an axis of the grid, in 64 bits.
#define THREAD(axis) ((long long)blockIdx.axis * blockDim.axis + threadIdx.axis)

__device__ __forceinline__ float2 operator+(float2 a, float2 b) { return make_float2(a.x + b.x, a.y + b.y); }

__device__ __forceinline__ float2 operator*(float gain, float2 a) { return make_float2(gain * a.x, gain * a.y); }

// Complex product.
__device__ __forceinline__ float2 operator*(float2 a, float2 b) {
    return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

// sum + a b, complex.
__device__ __forceinline__ float2 multiply_add(float2 a, float2 b, float2 sum) {
    return make_float2(sum.x + a.x * b.x - a.y * b.y, sum.y + a.x * b.y + a.y * b.x);
}

// Half precision: two bytes as a GPU converts them. The tests' header has its own for the host.
#ifdef __CUDACC__
__device__ __forceinline__ float half_to_float(unsigned short half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}
__device__ __forceinline__ unsigned short float_to_half(float value) {
    unsigned short half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
}
#endif
