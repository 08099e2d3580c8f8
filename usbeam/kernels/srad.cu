// Speckle-reducing anisotropic diffusion: one step, and the variation of a region. The equations are told in
// srad_cpu.py. Images have the first and the last column twice.
#include "common.cuh"

// Keeps 0 / 0 away.
#define TINY 1e-30f

// Diffusion coefficient at a row and a column, columns counted from 1; low = q0^4, high = q0^2 (1 + q0^2).
__device__ float coefficient(const float* image, int row, int column, int n_z, int n_x, float low, float high) {
    const long long width = n_x + 2;
    const float* here = image + row * width + column;
    const float value = *here;
    const float n = image[max(row - 1, 0) * width + column] - value;
    const float s = image[min(row + 1, n_z - 1) * width + column] - value;
    const float w = here[-1] - value, e = here[1] - value;
    const float quarter = 0.25f * (n + s + w + e);
    const float mean = value + quarter;
    const float variance = 0.5f * (n * n + s * s + w * w + e * e) - quarter * quarter;
    return min(high * mean * mean / (low * mean * mean + variance + TINY), 1.0f);
}

// One thread per pixel works out the three coefficients that it needs, two of which its neighbours work out as well:
// that costs two divisions, and saves an image of coefficients and a second launch. At 620 x 256 pixels a step moves
// about 1.3 MB, which takes less time than a launch (estimated).
extern "C" __global__ void step(const float* image, float* out, int n_z, int n_x, const double* q0_squared,
                                float rate) {
    if (THREAD(x) >= n_x || THREAD(y) >= n_z) return;
    const int row = THREAD(y), column = THREAD(x) + 1;
    const long long width = n_x + 2;
    const float low = *q0_squared * *q0_squared, high = *q0_squared * (1.0 + *q0_squared);
    const int below = min(row + 1, n_z - 1), right = min(column + 1, n_x);
    const float* here = image + row * width + column;
    const float value = *here;
    const float north = image[max(row - 1, 0) * width + column], south = image[below * width + column];
    float flow = coefficient(image, row, column, n_z, n_x, low, high) * ((north - value) + (here[-1] - value));
    // Over the border lies a copy: the difference is 0, whatever the coefficient.
    flow += coefficient(image, below, column, n_z, n_x, low, high) * (south - value);
    flow += coefficient(image, row, right, n_z, n_x, low, high) * (here[1] - value);
    float* target = out + row * width + column;
    *target = value + rate * flow;
    if (column == 1) target[-1] = *target;
    if (column == n_x) target[1] = *target;
}

// Variance over squared mean of a region, by one block: a window of speckle has few pixels. Threads add up their pixels
// in double precision, then pairs of threads, so that the order of the sum is always the same.
extern "C" __global__ void squared_variation(const float* image, int n_x, int top, int bottom, int left, int right,
                                             double* out) {
    __shared__ double total[THREADS], squares[THREADS];
    const int me = threadIdx.x;
    const long long width = n_x + 2, across = right - left, size = (bottom - top) * across;
    double sum = 0.0, sum_of_squares = 0.0;
    for (long long i = me; i < size; i += THREADS) {
        const double value = image[(top + i / across) * width + left + 1 + i % across];
        sum += value;
        sum_of_squares += value * value;
    }
    total[me] = sum;
    squares[me] = sum_of_squares;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (me < half) {
            total[me] += total[me + half];
            squares[me] += squares[me + half];
        }
    }
    if (me == 0) {
        const double mean = total[0] / size;
        *out = max(0.0, squares[0] / size - mean * mean) / (mean * mean);
    }
}
