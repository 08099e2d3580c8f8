// The wavenumber algorithm: traces placed on a line for their lateral transform, and gridding along kz.
//
// Arrays and words as in fourier_cpu.py. A lateral spectrum has the sixteen frequencies of a block innermost, then the
// blocks, then the lateral wavenumbers: whatever threads do for neighbouring frequencies is next to each other.
//
// Gridding has two forms. ``..._values`` is the reference: a thread for each value, which it adds to `out` at once.
// ``..._rows``: a block of threads for a row of `out` and some blocks of frequencies. A thread takes neighbouring waves
// of one frequency, which lie in the same cells or next ones, and keeps the cells under the taps in registers; what it
// leaves behind goes to cells that the block shares. Estimated, that is a quarter of the additions or less, in memory
// near the processor; `out` is added to once for each cell and group of blocks.
#include "common.cuh"

#define LANES 16

// Several traces may have one place: slots past the period, transmits from one element.
__device__ __forceinline__ void add(float2* place, float2 value) {
    atomicAdd(&place->x, value.x);
    atomicAdd(&place->y, value.y);
}

// Complex lane element i at one lane.
__device__ __forceinline__ float2 element(const float* values, long long i, int lane) {
    return make_float2(values[2 * LANES * i + lane], values[2 * LANES * i + LANES + lane]);
}

// Which transmit a pair belongs to: the last whose pairs do not begin later.
__device__ __forceinline__ int owner(const long long* first, int n_tx, long long pair) {
    int low = 0, high = n_tx;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (first[middle] <= pair) low = middle;
        else high = middle;
    }
    return low;
}

// lines[transmit slot, receive slot, block, lane] += spectrum[block, pair, lane]
extern "C" __global__ void place_full_matrix(const float* spectrum, const long long* first,
                                             const long long* receive_slot, const long long* transmit_slot,
                                             int n_blocks, int n_pairs, int n_tx, int period, float2* lines) {
    long long p = THREAD(x) / LANES;
    int lane = threadIdx.x % LANES, block = blockIdx.y;
    if (p >= n_pairs) return;
    long long row = transmit_slot[owner(first, n_tx, p)] % period, column = receive_slot[p] % period;
    float2 value = element(spectrum, (long long)block * n_pairs + p, lane);
    add(lines + ((row * period + column) * n_blocks + block) * LANES + lane, value);
}

// lines[receive slot, block, transmit, lane] += spectrum[block, pair, lane] turn[block, wave, lane]^slot
extern "C" __global__ void place_plane_waves(const float* spectrum, const long long* first,
                                             const long long* receive_slot, const long long* transmit,
                                             const float* turn, int n_blocks, int n_pairs, int n_tx, int n_waves,
                                             int period, float2* lines) {
    long long p = THREAD(x) / LANES;
    int lane = threadIdx.x % LANES, block = blockIdx.y;
    if (p >= n_pairs) return;
    int i = owner(first, n_tx, p);
    float2 value = element(spectrum, (long long)block * n_pairs + p, lane);
    float2 power = element(turn, (long long)block * n_waves + transmit[i], lane);
    for (long long slot = receive_slot[p]; slot; slot >>= 1) {
        if (slot & 1) value = value * power;
        power = power * power;
    }
    add(lines + ((receive_slot[p] % period * n_blocks + block) * n_tx + i) * LANES + lane, value);
}

// N numbers of a cell, and where they lie.
template <int N>
struct Wave {
    float value[N], height;
};

// The cell that takes a wave's first tap; returns its taps.
__device__ __forceinline__ const float* taps_of(float height, const float* table, int n_rows, int& cell) {
    height = fmaxf(height, 0.0f);
    cell = int(height);
    return table + int((height - float(cell)) * float(n_rows)) * N_TAPS;
}

// Spectra, legs and heights of a full matrix.
struct Matrix {
    const float2* lines;
    const long long* reach;
    const float *transmit_leg, *receive_leg, *height;
    int n_blocks, n_m, period;

    __device__ __forceinline__ int most(int block) const {
        return int(max(reach[2 * block], reach[2 * block + 1]));
    }
    // Of a wavenumber, which may lie several periods beside.
    __device__ __forceinline__ int column(int m) const {
        m %= period;
        return m < 0 ? m + period : m;
    }
    __device__ __forceinline__ float2 line(int kt, int kr, int block, int lane) const {
        return lines[(((long long)kt * period + kr) * n_blocks + block) * LANES + lane];
    }
    // Values of kt + kr = n dk and of -n dk from (a, n - a) and the same the other way round. Columns are those of a
    // and n - a. False where a leg does not reach.
    __device__ __forceinline__ bool wave(int block, int n, int a, int column_a, int column_b, int lane,
                                         Wave<4>& found) const {
        int p = abs(a), q = abs(n - a);
        if (min(p, q) > min(reach[2 * block], reach[2 * block + 1])) return false;
        long long at = (long long)block * n_m;
        float half = a == n - a ? 0.5f : 1.0f;
        float2 c = half * (element(transmit_leg, at + p, lane) * element(receive_leg, at + q, lane));
        float2 d = half * (element(transmit_leg, at + q, lane) * element(receive_leg, at + p, lane));
        int mirror_a = column_a ? period - column_a : 0, mirror_b = column_b ? period - column_b : 0;
        float2 plus = c * line(column_a, column_b, block, lane);
        plus = multiply_add(d, line(column_b, column_a, block, lane), plus);
        float2 minus = c * line(mirror_a, mirror_b, block, lane);
        minus = multiply_add(d, line(mirror_b, mirror_a, block, lane), minus);
        found = {{plus.x, plus.y, minus.x, minus.y},
                 height[LANES * (at + p) + lane] + height[LANES * (at + q) + lane]};
        return true;
    }
};

// Spectra, legs and heights of plane waves.
struct Waves {
    const float2* lines;
    const long long *transmit, *rows;
    const float *leg, *height;
    int n_blocks, n_tx, n_waves, n_n, period;

    // Value of transmit i in row n. False where it does not count.
    __device__ __forceinline__ bool wave(int block, int n, int i, int lane, Wave<2>& found) const {
        long long wave = (long long)block * n_waves + transmit[i], at = wave * n_n + n;
        if (n < rows[2 * wave] || n >= rows[2 * wave + 1]) return false;
        int column = (n - n_n / 2) % period;
        if (column < 0) column += period;
        float2 value = lines[(((long long)column * n_blocks + block) * n_tx + i) * LANES + lane];
        value = value * element(leg, at, lane);
        found = {{value.x, value.y}, height[LANES * at + lane]};
        return true;
    }
};

// Adds a wave to the cells of its row.
template <int N>
__device__ __forceinline__ void spread(const Wave<N>& wave, const float* table, int n_rows, float* row) {
    int cell;
    const float* taps = taps_of(wave.height, table, n_rows, cell);
    for (int k = 0; k < N_TAPS; k++)
        for (int j = 0; j < N; j++) atomicAdd(row + N * (cell + k) + j, taps[k] * wave.value[j]);
}

extern "C" __global__ void full_matrix_values(const float2* lines, const long long* reach, const float* transmit_leg,
                                              const float* receive_leg, const float* height, const long long* lowest,
                                              int n_blocks, int n_m, int period, const float* table, int n_rows,
                                              int n_cells, float* out) {
    Matrix matrix = {lines, reach, transmit_leg, receive_leg, height, n_blocks, n_m, period};
    int lane = threadIdx.x % LANES, n = blockIdx.y, block = blockIdx.z;
    int a = n - matrix.most(block) + int(THREAD(x) / LANES);
    Wave<4> wave;
    if (n <= reach[2 * block] + reach[2 * block + 1] && a <= n / 2 &&
        matrix.wave(block, n, a, matrix.column(a), matrix.column(n - a), lane, wave))
        spread(wave, table, n_rows, out + 4 * ((long long)n * n_cells + lowest[block]));
}

extern "C" __global__ void plane_waves_values(const float2* lines, const long long* transmit, const long long* rows,
                                              const float* leg, const float* height, const long long* lowest,
                                              int n_blocks, int n_tx, int n_waves, int n_n, int period,
                                              const float* table, int n_rows, int n_cells, float* out) {
    Waves waves = {lines, transmit, rows, leg, height, n_blocks, n_tx, n_waves, n_n, period};
    int lane = threadIdx.x % LANES, n = blockIdx.y, block = blockIdx.z;
    long long i = THREAD(x) / LANES;
    Wave<2> wave;
    if (i < n_tx && waves.wave(block, n, int(i), lane, wave))
        spread(wave, table, n_rows, out + 2 * ((long long)n * n_cells + lowest[block]));
}

// Cells of one row that a block of threads shares: those from `first` on, each number of all cells in turn, so that
// neighbours in a row lie in different banks. What lies beside them goes straight to `out`.
template <int N>
struct Row {
    float *shared, *out;
    int first, size;

    __device__ __forceinline__ void add(int cell, const float* value) const {
        unsigned at = unsigned(cell - first);
        for (int j = 0; j < N; j++)
            if (at < unsigned(size)) atomicAdd(shared + j * size + at, value[j]);
            else atomicAdd(out + N * (long long)cell + j, value[j]);
    }
    __device__ __forceinline__ void clear() const {
        for (int i = thread(); i < N * size; i += threads()) shared[i] = 0.0f;
    }
    __device__ __forceinline__ void pour() const {
        for (int i = thread(); i < N * size; i += threads()) {
            float sum = shared[i % N * size + i / N];
            if (sum != 0.0f) atomicAdd(out + N * (long long)first + i, sum);
        }
    }
    __device__ __forceinline__ static int thread() { return threadIdx.y * blockDim.x + threadIdx.x; }
    __device__ __forceinline__ static int threads() { return blockDim.x * blockDim.y; }
};

// The cells under the taps of the last wave, in registers.
template <int N>
struct Taps {
    float sum[N_TAPS][N] = {};
    int first = 0;
    bool used = false;

    // Moves on to the taps from `cell` on; cells left behind are added to the row.
    __device__ __forceinline__ void move(int cell, const Row<N>& row) {
        int steps = cell < first ? N_TAPS : min(cell - first, N_TAPS);
        for (int step = 0; used && step < steps; step++) {
            row.add(first + step, sum[0]);
            for (int k = 0; k < N_TAPS; k++)
                for (int j = 0; j < N; j++) sum[k][j] = k + 1 < N_TAPS ? sum[k + 1][j] : 0.0f;
        }
        first = cell, used = true;
    }
    __device__ __forceinline__ void add(const Wave<N>& wave, const float* table, int n_rows, int lowest,
                                        const Row<N>& row) {
        int cell;
        const float* taps = taps_of(wave.height, table, n_rows, cell);
        if (lowest + cell != first || !used) move(lowest + cell, row);
        for (int k = 0; k < N_TAPS; k++)
            for (int j = 0; j < N; j++) sum[k][j] += taps[k] * wave.value[j];
    }
    __device__ __forceinline__ void leave(const Row<N>& row) { move(first + N_TAPS, row); }
};

extern "C" __global__ void __launch_bounds__(256)
    full_matrix_rows(const float2* lines, const long long* reach, const float* transmit_leg, const float* receive_leg,
                     const float* height, const long long* lowest, int n_blocks, int n_m, int period,
                     const float* table, int n_rows, int n_cells, int group, int room, float* out) {
    DYNAMIC_SHARED(float, shared);
    Matrix matrix = {lines, reach, transmit_leg, receive_leg, height, n_blocks, n_m, period};
    int lane = threadIdx.x, part = threadIdx.y, parts = blockDim.y, n = blockIdx.x;
    int begin = blockIdx.y * group, first = int(lowest[begin]);
    Row<4> row = {shared, out + 4 * ((long long)n * n_cells), first, min(room, n_cells - first)};
    row.clear();
    __syncthreads();
    for (int block = begin; block < min(begin + group, n_blocks); block++) {
        if (n > reach[2 * block] + reach[2 * block + 1]) continue;
        int start = n - matrix.most(block), count = n / 2 - start + 1, each = (count + parts - 1) / parts;
        int a = start + part * each, stop = min(a + each, n / 2 + 1);
        int column_a = matrix.column(a), column_b = matrix.column(n - a);
        Taps<4> taps;
        Wave<4> wave;
        for (; a < stop; a++) {
            if (matrix.wave(block, n, a, column_a, column_b, lane, wave))
                taps.add(wave, table, n_rows, int(lowest[block]), row);
            column_a = column_a + 1 < period ? column_a + 1 : 0;
            column_b = column_b > 0 ? column_b - 1 : period - 1;
        }
        taps.leave(row);
    }
    __syncthreads();
    row.pour();
}

extern "C" __global__ void __launch_bounds__(256)
    plane_waves_rows(const float2* lines, const long long* transmit, const long long* rows, const float* leg,
                     const float* height, const long long* lowest, int n_blocks, int n_tx, int n_waves, int n_n,
                     int period, const float* table, int n_rows, int n_cells, int group, int room, float* out) {
    DYNAMIC_SHARED(float, shared);
    Waves waves = {lines, transmit, rows, leg, height, n_blocks, n_tx, n_waves, n_n, period};
    int lane = threadIdx.x, part = threadIdx.y, parts = blockDim.y, n = blockIdx.x;
    int begin = blockIdx.y * group, first = int(lowest[begin]), each = (n_tx + parts - 1) / parts;
    Row<2> row = {shared, out + 2 * ((long long)n * n_cells), first, min(room, n_cells - first)};
    row.clear();
    __syncthreads();
    for (int block = begin; block < min(begin + group, n_blocks); block++) {
        Taps<2> taps;
        Wave<2> wave;
        for (int i = part * each; i < min((part + 1) * each, n_tx); i++)
            if (waves.wave(block, n, i, lane, wave)) taps.add(wave, table, n_rows, int(lowest[block]), row);
        taps.leave(row);
    }
    __syncthreads();
    row.pour();
}
