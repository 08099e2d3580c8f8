// Traces over the part of time that is transformed, and the bins of the pass-band.
#include "common.cuh"

// A sample as transforms take it.
__device__ __forceinline__ float value(short sample) { return sample; }
__device__ __forceinline__ float value(float sample) { return sample; }
__device__ __forceinline__ float2 value(float2 sample) { return sample; }

// traces[p, k] = sum_i weight[p, i] rows[source[p, i], first_sample[owner[p]] + k], 0 outside the record.
template <class Sample, class Value>
__device__ __forceinline__ void gather(const Sample* rows, const long long* source, const float* weight,
                                       const long long* owner, const long long* first_sample, long long n_samples,
                                       int n_pairs, int n_fft, Value* traces) {
    long long k = THREAD(x);
    if (k >= n_fft) return;
    for (long long p = blockIdx.y; p < n_pairs; p += gridDim.y) {
        long long sample = first_sample[owner[p]] + k;
        Value sum = {};
        for (int i = 0; i < 2; i++)
            if (sample >= 0 && sample < n_samples && source[2 * p + i] >= 0)
                sum = sum + weight[2 * p + i] * value(rows[source[2 * p + i] * n_samples + sample]);
        traces[p * n_fft + k] = sum;
    }
}

extern "C" __global__ void gather_int16(const short* rows, const long long* source, const float* weight,
                                        const long long* owner, const long long* first_sample, long long n_samples,
                                        int n_pairs, int n_fft, float* traces) {
    gather(rows, source, weight, owner, first_sample, n_samples, n_pairs, n_fft, traces);
}

extern "C" __global__ void gather_float32(const float* rows, const long long* source, const float* weight,
                                          const long long* owner, const long long* first_sample, long long n_samples,
                                          int n_pairs, int n_fft, float* traces) {
    gather(rows, source, weight, owner, first_sample, n_samples, n_pairs, n_fft, traces);
}

extern "C" __global__ void gather_complex64(const float2* rows, const long long* source, const float* weight,
                                            const long long* owner, const long long* first_sample, long long n_samples,
                                            int n_pairs, int n_fft, float2* traces) {
    gather(rows, source, weight, owner, first_sample, n_samples, n_pairs, n_fft, traces);
}

// Lane elements of the pairs `begin + p` from the spectra of some: bins in blocks of sixteen, times a factor. Of real
// traces only the bins up to the middle are there; the others are their mirror images.
extern "C" __global__ void pick(const float2* spectra, const long long* owner, const float* factor,
                                long long first_bin, int n_fft, int n_bins, int n_some, int begin, int n_pairs,
                                int n_blocks, float* out) {
    long long p = THREAD(x) / 16;
    int lane = threadIdx.x % 16, block = blockIdx.y;
    if (p >= n_some) return;
    int bin = (first_bin + 16 * block + lane) % n_fft;
    if (bin < 0) bin += n_fft;
    bool mirrored = bin >= n_bins;
    float2 found = spectra[p * n_bins + (mirrored ? n_fft - bin : bin)];
    if (mirrored) found.y = -found.y;
    const float* own = factor + 32 * (owner[p] * n_blocks + block) + lane;
    found = found * make_float2(own[0], own[16]);
    float* to = out + 32 * ((long long)block * n_pairs + begin + p) + lane;
    to[0] = found.x;
    to[16] = found.y;
}
