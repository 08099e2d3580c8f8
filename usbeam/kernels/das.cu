// Delay-and-sum: the sum in three forms, and without tables.
//
// Macros: N_TAPS (1, 2 or 4), and HALF, 1 where samples are pairs of halves instead of complex64.
#include "legs.cuh"

#if HALF
struct alignas(4) Sample {
    unsigned short x, y;
};
__device__ __forceinline__ float2 value(Sample sample) {
    return make_float2(half_to_float(sample.x), half_to_float(sample.y));
}
#else
typedef float2 Sample;
__device__ __forceinline__ float2 value(Sample sample) { return sample; }
#endif

const int N_ROWS = 1 << PHASE_BITS;

// Row of the interpolation table, and first sample, of a delay in ticks.
__device__ __forceinline__ int row_of(int ticks) { return (ticks >> (FRACTION_BITS - PHASE_BITS)) & (N_ROWS - 1); }
__device__ __forceinline__ int sample_of(int ticks) { return ticks >> FRACTION_BITS; }

// One past the last sample that a value may begin with, as the unsigned number that refuses earlier ones too.
__device__ __forceinline__ unsigned end_of(int n_samples) { return n_samples < N_TAPS ? 0 : n_samples - N_TAPS + 1; }

// An image point; where it lies is read for delays that are worked out on the way.
struct Point {
    int column, k;
    double x, z;
};

// Delays of one leg from its tables.
struct Tables {
    const int *delay, *active;
    const float* window;
    int n_x, n_z;

    // Whether the leg counts at a point, its ticks and its weight there.
    __device__ __forceinline__ bool at(int leg, const Point& point, int& ticks, float& weight) const {
        long long column = (long long)leg * n_x + point.column, index = column * n_z + point.k;
        ticks = delay[index];
        weight = window ? window[index] : 1.0f;
        return point.k >= active[2 * column] && point.k < active[2 * column + 1];
    }
};

// Delays of one leg from its geometry.
struct Direct {
    Legs legs;

    __device__ __forceinline__ bool at(int leg, const Point& point, int& ticks, float& weight) const {
        double exact;
        ticks = delay_at(legs, leg, point.x, point.z, exact);
        weight = float(exact);
        return exact > 0.0;
    }
};

// What every form sums, and where to.
#define WORK                                                                                             \
    const Sample *__restrict__ traces, const int *__restrict__ receive, const long long *__restrict__ first, \
        const int *__restrict__ transmit, const long long *__restrict__ image, const float2 *__restrict__ table, \
        int n_tx, int n_pairs, int n_samples, int n_frames, int n_x, int n_z, int n_images, int width, int column, \
        float2 *__restrict__ out
#define TABLES(leg) \
    const int *__restrict__ leg##_delay, const int *__restrict__ leg##_active, const float *__restrict__ leg##_window
#define TABLES_OF(leg) Tables{leg##_delay, leg##_active, leg##_window, n_x, n_z}
#define IS_LAST(event) ((event) + 1 == n_tx || image[event] != image[(event) + 1])

// Where a point of an image is.
#define PLACE(frame, image, k, c) ((((frame) * n_images + (image)) * n_z + (k)) * width + column + (c))

// Reference: one thread for each point and frame; traces (n_frames, n_pairs, n_samples).
extern "C" __global__ void das(WORK, TABLES(transmit), TABLES(receive)) {
    long long index = THREAD(x), frame = blockIdx.z;
    if (index >= (long long)n_x * n_z) return;
    Point point = {int(index / n_z), int(index % n_z)};
    Tables out_leg = TABLES_OF(transmit), back_leg = TABLES_OF(receive);
    unsigned end = end_of(n_samples);
    float2 sum = make_float2(0.0f, 0.0f);
    for (int event = 0; event < n_tx; event++) {
        int there, back;
        float transmit_weight, weight;
        if (out_leg.at(transmit[event], point, there, transmit_weight)) {
            for (long long p = first[event]; p < first[event + 1]; p++) {
                if (!back_leg.at(receive[p], point, back, weight)) continue;
                int ticks = there + back, sample = sample_of(ticks);
                if (unsigned(sample) >= end) continue;
                const Sample* trace = traces + (frame * n_pairs + p) * n_samples + sample;
                const float2* taps = table + row_of(ticks) * N_TAPS;
                for (int tap = 0; tap < N_TAPS; tap++)
                    sum = multiply_add(transmit_weight * weight * taps[tap], value(trace[tap]), sum);
            }
        }
        if (IS_LAST(event)) {
            float2* place = out + PLACE(frame, image[event], point.k, point.column);
            *place = *place + sum;
            sum = make_float2(0.0f, 0.0f);
        }
    }
}

// A block is ACROSS columns of DOWN threads, a thread POINTS points: neighbours in both directions read neighbouring
// samples, so that a block reads a trace's piece from the L2 cache once (an estimated 3 bytes for each point and pair
// of a 64 x 64 full matrix; 27 where a block is one column). Several points hide each other's waiting.
const int DOWN = 8, ACROSS = 16, POINTS = 2;

// Up to two taps the table is copied into the block's memory: random rows cost the L1 cache several lookups each, and
// would drive the traces out of it. The table of four taps would leave room for one block.
const bool COPIED = N_TAPS <= 2;

template <class Leg>
__device__ __forceinline__ void sum_tile(WORK, const Leg& out_leg, const Leg& back_leg, const double* x,
                                         const double* z, float2* copy) {
    const float2* rows = COPIED ? copy : table;
    if (COPIED) {
        for (int i = threadIdx.y * DOWN + threadIdx.x; i < N_ROWS * N_TAPS; i += DOWN * ACROSS) copy[i] = table[i];
        __syncthreads();
    }
    int n_down = (n_z + DOWN * POINTS - 1) / (DOWN * POINTS);
    int c = blockIdx.x / n_down * ACROSS + threadIdx.y;
    int k0 = blockIdx.x % n_down * DOWN * POINTS + threadIdx.x;
    if (c >= n_x || k0 >= n_z) return;
    long long frame = blockIdx.z;
    unsigned end = end_of(n_samples);
    Point point[POINTS];
    float2 sum[POINTS];
#pragma unroll
    for (int j = 0; j < POINTS; j++) {
        int k = min(k0 + j * DOWN, n_z - 1);  // beyond the last depth: summed, not written
        point[j] = {c, k, x ? x[c] : 0.0, z ? z[k] : 0.0};
        sum[j] = make_float2(0.0f, 0.0f);
    }
    for (int event = 0; event < n_tx; event++) {
        int there[POINTS];
        float transmit_weight[POINTS];
        bool sent[POINTS];
        float2 heard[POINTS];
#pragma unroll
        for (int j = 0; j < POINTS; j++) {
            sent[j] = out_leg.at(transmit[event], point[j], there[j], transmit_weight[j]);
            heard[j] = make_float2(0.0f, 0.0f);
        }
        for (long long p = first[event]; p < first[event + 1]; p++) {
            int leg = receive[p];
            const Sample* trace = traces + (frame * n_pairs + p) * n_samples;
            float2 taken[POINTS][N_TAPS];
            float weight[POINTS];
            int row[POINTS];
            // All loads first, so that they wait together; what is outside is not read, as it may be no number.
#pragma unroll
            for (int j = 0; j < POINTS; j++) {
                int back;
                bool counts = back_leg.at(leg, point[j], back, weight[j]) && sent[j];
                int ticks = there[j] + back, sample = sample_of(ticks);
                counts = counts && unsigned(sample) < end;
                row[j] = row_of(ticks) * N_TAPS;
#pragma unroll
                for (int tap = 0; tap < N_TAPS; tap++)
                    taken[j][tap] = counts ? value(trace[sample + tap]) : make_float2(0.0f, 0.0f);
            }
#pragma unroll
            for (int j = 0; j < POINTS; j++) {
                float2 read = make_float2(0.0f, 0.0f);
#pragma unroll
                for (int tap = 0; tap < N_TAPS; tap++) read = multiply_add(rows[row[j] + tap], taken[j][tap], read);
                heard[j] = heard[j] + weight[j] * read;
            }
        }
#pragma unroll
        for (int j = 0; j < POINTS; j++) {
            sum[j] = sum[j] + transmit_weight[j] * heard[j];
            int k = k0 + j * DOWN;
            if (IS_LAST(event) && k < n_z) {
                float2* place = out + PLACE(frame, image[event], k, c);
                *place = *place + sum[j];
                sum[j] = make_float2(0.0f, 0.0f);
            }
        }
    }
}

// For one or few frames; traces (n_frames, n_pairs, n_samples).
extern "C" __global__ void __launch_bounds__(DOWN * ACROSS, 4) das_shared(WORK, TABLES(transmit), TABLES(receive)) {
    DYNAMIC_SHARED(float2, copy);
    sum_tile(traces, receive, first, transmit, image, table, n_tx, n_pairs, n_samples, n_frames, n_x, n_z, n_images,
             width, column, out, TABLES_OF(transmit), TABLES_OF(receive), nullptr, nullptr, copy);
}

// The same, delays worked out where they are used: no table is read, or needs room.
extern "C" __global__ void __launch_bounds__(DOWN * ACROSS, 4)
    das_direct(WORK, LEGS(transmit), LEGS(receive), const double* __restrict__ x, const double* __restrict__ z) {
    DYNAMIC_SHARED(float2, copy);
    sum_tile(traces, receive, first, transmit, image, table, n_tx, n_pairs, n_samples, n_frames, n_x, n_z, n_images,
             width, column, out, Direct{{GIVEN(transmit)}}, Direct{{GIVEN(receive)}}, x, z, copy);
}

// Points and pairs whose taps a block holds at once, and the columns that a thread sums: what its registers hold.
const int ENTRIES = 1024, COLUMNS = N_TAPS == 4 ? 4 : 8;

// Several frames of one sample, read at once.
template <int FRAMES>
struct alignas(sizeof(Sample) * FRAMES) Together {
    Sample frame[FRAMES];
};

// For many frames; traces (n_pairs, n_samples, n_frames). Neighbouring threads have neighbouring frames, and so read
// whole cache lines; blockDim.y depths by COLUMNS columns share the samples of a trace's piece, and all frames the
// taps of a point and a pair: its delay, its row of the table and its weights.
template <int FRAMES>
__device__ __forceinline__ void sum_frames(WORK, const Tables& out_leg, const Tables& back_leg, float2* taps) {
    int* samples = reinterpret_cast<int*>(taps + ENTRIES * N_TAPS);
    int rows = blockDim.y, n_points = rows * COLUMNS, most = ENTRIES / n_points;
    int n_down = (n_z + rows - 1) / rows;
    int c0 = blockIdx.x / n_down * COLUMNS, k0 = blockIdx.x % n_down * rows;
    long long frame = ((long long)blockIdx.z * blockDim.x + threadIdx.x) * FRAMES;
    bool mine = k0 + int(threadIdx.y) < n_z && frame < n_frames;
    unsigned end = end_of(n_samples);
    float2 sum[COLUMNS][FRAMES] = {};
    for (int event = 0; event < n_tx; event++) {
        for (long long p0 = first[event]; p0 < first[event + 1]; p0 += most) {
            int n_here = int(min((long long)most, first[event + 1] - p0));
            __syncthreads();  // all have used the last ones
            for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < n_here * n_points; i += blockDim.x * rows) {
                int k = i % rows, c = i / rows % COLUMNS, j = i / n_points;
                int there, back, sample = -1;
                int entry = (j * rows + k) * COLUMNS + c;
                Point point = {c0 + c, k0 + k};
                float transmit_weight, weight, gain = 0.0f;
                const float2* row = table;
                if (point.column < n_x && point.k < n_z &&
                    out_leg.at(transmit[event], point, there, transmit_weight) &&
                    back_leg.at(receive[p0 + j], point, back, weight) &&
                    unsigned(sample_of(there + back)) < end) {
                    sample = sample_of(there + back);
                    row = table + row_of(there + back) * N_TAPS;
                    gain = transmit_weight * weight;
                }
                samples[entry] = sample;
                for (int tap = 0; tap < N_TAPS; tap++) taps[entry * N_TAPS + tap] = gain * row[tap];
            }
            __syncthreads();
            for (int j = 0; mine && j < n_here; j++) {
                const Sample* trace = traces + (p0 + j) * n_samples * n_frames + frame;
                int entry = (j * rows + threadIdx.y) * COLUMNS;
#pragma unroll
                for (int c = 0; c < COLUMNS; c++) {
                    int sample = samples[entry + c];
#pragma unroll
                    for (int tap = 0; tap < N_TAPS; tap++) {
                        // No branch, so that the reads of several columns wait together; outside nothing is read.
                        Together<FRAMES> read = {};
                        if (sample >= 0)
                            read = *reinterpret_cast<const Together<FRAMES>*>(
                                trace + (long long)(sample + tap) * n_frames);
                        float2 weight = taps[(entry + c) * N_TAPS + tap];
#pragma unroll
                        for (int f = 0; f < FRAMES; f++)
                            sum[c][f] = multiply_add(weight, value(read.frame[f]), sum[c][f]);
                    }
                }
            }
        }
        if (!IS_LAST(event)) continue;
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
#pragma unroll
            for (int f = 0; f < FRAMES; f++) {
                if (mine && c0 + c < n_x) {
                    float2* place = out + PLACE(frame + f, image[event], k0 + int(threadIdx.y), c0 + c);
                    *place = *place + sum[c][f];
                }
                sum[c][f] = make_float2(0.0f, 0.0f);
            }
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) das_frames(WORK, TABLES(transmit), TABLES(receive)) {
    DYNAMIC_SHARED(float2, taps);
    sum_frames<1>(traces, receive, first, transmit, image, table, n_tx, n_pairs, n_samples, n_frames, n_x, n_z,
                  n_images, width, column, out, TABLES_OF(transmit), TABLES_OF(receive), taps);
}

// The same for an even number of frames: a thread reads two at once.
extern "C" __global__ void __launch_bounds__(256, 2) das_even_frames(WORK, TABLES(transmit), TABLES(receive)) {
    DYNAMIC_SHARED(float2, taps);
    sum_frames<2>(traces, receive, first, transmit, image, table, n_tx, n_pairs, n_samples, n_frames, n_x, n_z,
                  n_images, width, column, out, TABLES_OF(transmit), TABLES_OF(receive), taps);
}
