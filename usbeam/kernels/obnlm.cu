// Blockwise non-local means with Pearson distances: distances of patches, weights, and the pixels' means.
//
// Offsets n run over a square of side 2 reach + 1, row by row; its middle is the block itself. Weights of some rows of
// blocks, from `start` on, are in memory together, as found[n, row - start, column].
#include "common.cuh"

struct Offset {
    int dy, dx;
};

__device__ Offset offset_of(int n, int reach) {
    const int side = 2 * reach + 1;
    return {n / side - reach, n % side - reach};
}

// One thread per block and offset: the patch's mean of scaled squared differences; infinite where there is no neighbour
// that counts. Each patch is summed anew: at 620 x 256 pixels and the usual sizes these are 4e8 differences, which take
// less than a millisecond (estimated).
extern "C" __global__ void distances(const float* padded, const float* inverse, const float* mean,
                                     const float* variance, const long long* rows, const long long* columns, int start,
                                     int n_rows, int n_columns, int n_z, int n_x, int half, int reach,
                                     const float* ratios, float* found) {
    const int j = THREAD(x), n = THREAD(y), i = THREAD(z);
    if (j >= n_columns) return;
    const Offset offset = offset_of(n, reach);
    const long long y = rows[start + i], x = columns[j], v = y + offset.dy, u = x + offset.dx;
    float* target = found + ((long long)n * n_rows + i) * n_columns + j;
    *target = __int_as_float(0x7f800000);
    if (v < 0 || v >= n_z || u < 0 || u >= n_x) return;
    const float m = mean[y * n_x + x], other = mean[v * n_x + u];
    const float spread = variance[y * n_x + x], other_spread = variance[v * n_x + u];
    if (min(m, other) < ratios[0] * max(m, other)) return;
    if (min(spread, other_spread) < ratios[1] * max(spread, other_spread)) return;
    const int side = 2 * half + 1;
    const long long width = n_x + 2 * (half + reach);
    float sum = 0.0f;
    for (int p = 0; p < side; p++) {
        const float* here = padded + (y + reach + p) * width + x + reach;
        const long long there = (v + reach + p) * width + u + reach;
        for (int q = 0; q < side; q++) {
            const float difference = here[q] - padded[there + q];
            sum += difference * difference * inverse[there + q];
        }
    }
    *target = sum / (side * side);
}

// One thread per block: distances become weights that sum to one with the block's own, which is that of the nearest.
// Weights are taken relative to the largest: so none is lost to rounding where all neighbours are far.
extern "C" __global__ void weights(float* found, int n_rows, int n_columns, int reach, float decay) {
    const long long block = THREAD(x), n_blocks = (long long)n_rows * n_columns;
    if (block >= n_blocks) return;
    const int n_offsets = (2 * reach + 1) * (2 * reach + 1), own = n_offsets / 2;
    float* mine = found + block;
    const float infinite = __int_as_float(0x7f800000);
    mine[own * n_blocks] = infinite;
    float least = infinite;
    for (int n = 0; n < n_offsets; n++) least = min(least, mine[n * n_blocks]);
    float total = 0.0f;
    for (int n = 0; n < n_offsets; n++) {
        const float distance = mine[n * n_blocks];
        const float weight = n == own ? 1.0f : distance < infinite ? expf((least - distance) * decay) : 0.0f;
        mine[n * n_blocks] = weight;
        total += weight;
    }
    for (int n = 0; n < n_offsets; n++) mine[n * n_blocks] /= total;
}

// One thread per pixel: adds what the blocks of these rows say of it, as a share of all blocks that cover it. Of rows
// and columns of blocks those that cover a place are row_first..row_stop, column_first..column_stop.
extern "C" __global__ void means(const float* padded, const float* found, const long long* row_first,
                                 const long long* row_stop, const long long* column_first,
                                 const long long* column_stop, int start, int n_rows, int n_columns, int n_z, int n_x,
                                 int half, int reach, float* out) {
    const long long x = THREAD(x), y = THREAD(y);
    if (x >= n_x || y >= n_z) return;
    const long long top = max(row_first[y], (long long)start), bottom = min(row_stop[y], (long long)start + n_rows);
    const long long left = column_first[x], right = column_stop[x];
    if (top >= bottom) return;
    const int n_offsets = (2 * reach + 1) * (2 * reach + 1);
    const long long width = n_x + 2 * (half + reach);
    const float* here = padded + (y + half + reach) * width + x + half + reach;
    float sum = 0.0f;
    for (int n = 0; n < n_offsets; n++) {
        const Offset offset = offset_of(n, reach);
        float covering = 0.0f;
        for (long long i = top - start; i < bottom - start; i++) {
            const float* row = found + ((long long)n * n_rows + i) * n_columns;
            for (long long j = left; j < right; j++) covering += row[j];
        }
        sum += covering * here[offset.dy * width + offset.dx];
    }
    out[y * n_x + x] += sum / ((row_stop[y] - row_first[y]) * (right - left));
}
