// What comes before the sum of delay-and-sum: delay tables, and traces that are weighted and added.
#include "legs.cuh"

// One thread for each leg and point; `active` comes filled with (n_z, 0).
extern "C" __global__ void leg_tables(LEGS(leg), const double* __restrict__ x, const double* __restrict__ z, int n,
                                      int n_x, int n_z, int* __restrict__ delay, int* __restrict__ active,
                                      float* __restrict__ weights) {
    long long index = THREAD(x);
    if (index >= (long long)n * n_x * n_z) return;
    int k = int(index % n_z);
    long long column = index / n_z;  // over all legs
    double weight;
    delay[index] = delay_at({GIVEN(leg)}, int(column / n_x), x[column % n_x], z[k], weight);
    if (weight > 0.0) {
        atomicMin(active + 2 * column, k);
        atomicMax(active + 2 * column + 1, k + 1);
    }
    if (weights) weights[index] = float(weight);
}

template <class Row, class Sum>
__device__ __forceinline__ void add_rows(const Row* rows, const long long* source, const float* weight, int n_rows,
                                         int n, int n_samples, int n_frames, Sum* out) {
    int k = int(THREAD(x));
    if (k >= n_samples) return;
    for (long long frame = blockIdx.z; frame < n_frames; frame += gridDim.z) {
        const Row* stored = rows + frame * n_rows * n_samples + k;
        for (long long i = blockIdx.y; i < n; i += gridDim.y) {
            Sum sum = weight[2 * i] * Sum(stored[source[2 * i] * n_samples]);
            if (source[2 * i + 1] >= 0) sum = sum + weight[2 * i + 1] * Sum(stored[source[2 * i + 1] * n_samples]);
            out[(frame * n + i) * n_samples + k] = sum;
        }
    }
}

#define ROWS(Row, Sum)                                                                                     \
    const Row *__restrict__ rows, const long long *__restrict__ source, const float *__restrict__ weight, \
        int n_rows, int n, int n_samples, int n_frames, Sum *__restrict__ out

extern "C" __global__ void weighted_sums_int16(ROWS(short, float)) {
    add_rows(rows, source, weight, n_rows, n, n_samples, n_frames, out);
}

extern "C" __global__ void weighted_sums_float32(ROWS(float, float)) {
    add_rows(rows, source, weight, n_rows, n, n_samples, n_frames, out);
}

extern "C" __global__ void weighted_sums_complex64(ROWS(float2, float2)) {
    add_rows(rows, source, weight, n_rows, n, n_samples, n_frames, out);
}
