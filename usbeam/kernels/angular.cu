// Angular components: how the array is seen from image points, bins of elements and of waves, and the sum of traces
// into components. One thread per image point; threads of a block are neighbours in depth, as points in the tables are.
#include "common.cuh"

// Sine of the angle at which a place that far beside an element is seen from an image point, + at larger x.
__device__ double sine_of(const double* position, double x, double z, double margin) {
    const double dx = position[0] + margin - x, dy = position[1], dz = position[2] - z;
    return dx / sqrt(dx * dx + dy * dy + dz * dz);
}

// Whether an element looks toward an image point.
__device__ bool in_front(const double* position, const double* normal, double x, double z) {
    return (x - position[0]) * normal[0] - position[1] * normal[1] + (z - position[2]) * normal[2] > 0.0;
}

extern "C" __global__ void reach(const double* position, const double* normal, int n, double margin, const double* x,
                                 const double* z, int n_x, int n_z, double max_sine, double2* out) {
    const long long k = THREAD(x), c = THREAD(y);
    if (k >= n_z) return;
    double low = max_sine, high = -max_sine;
    for (int i = 0; i < n; i++) {
        if (!in_front(position + 3 * i, normal + 3 * i, x[c], z[k])) continue;
        low = min(low, sine_of(position + 3 * i, x[c], z[k], -margin));
        high = max(high, sine_of(position + 3 * i, x[c], z[k], margin));
    }
    out[c * n_z + k] = make_double2(max(low, -max_sine), min(high, max_sine));
}

// `active` holds (n_z, 0) before.
extern "C" __global__ void bins(const double* position, const double* normal, const double* x, const double* z, int n_x,
                                int n_z, const double2* reached, double max_sine, int n_bins, double taper,
                                signed char* index, float* weight, int2* active) {
    const long long k = THREAD(x), c = THREAD(y), i = THREAD(z);
    if (k >= n_z) return;
    const long long at = (i * n_x + c) * n_z + k;
    const double sine = sine_of(position + 3 * i, x[c], z[k], 0.0);
    const double low = reached[c * n_z + k].x, high = reached[c * n_z + k].y;
    index[at] = 0;
    weight[at] = 0.0f;
    if (!(fabs(sine) <= max_sine && low < high && in_front(position + 3 * i, normal + 3 * i, x[c], z[k]))) return;
    const double u = (sine - low) / (high - low), edge = min(u, 1.0 - u) / taper;
    if (!(edge > 0.0)) return;
    index[at] = min(max(int(u * n_bins), 0), n_bins - 1);
    weight[at] = edge < 1.0 ? 0.5 - 0.5 * cos(3.14159265358979323846 * edge) : 1.0;
    atomicMin(&active[i * n_x + c].x, int(k));
    atomicMax(&active[i * n_x + c].y, int(k) + 1);
}

// Where one wave comes from.
__device__ double wave_sine(signed char shape, const double* position, const double* axis, double x, double z) {
    return shape == PLANE ? -axis[0] : sine_of(position, x, z, 0.0);
}

extern "C" __global__ void wave_bins(const signed char* shape, const double* position, const double* axis, int n,
                                     const double* x, const double* z, int n_x, int n_z, const double2* reached,
                                     int n_bins, signed char* index) {
    const long long k = THREAD(x), c = THREAD(y);
    if (k >= n_z) return;
    const double low = reached[c * n_z + k].x, high = reached[c * n_z + k].y;
    const int half = n_bins / 2;
    double mean = 0.0;
    for (int i = 0; i < n; i++) mean += wave_sine(shape[i], position + 3 * i, axis + 3 * i, x[c], z[k]);
    mean /= n;
    for (int i = 0; i < n; i++) {
        const double sine = wave_sine(shape[i], position + 3 * i, axis + 3 * i, x[c], z[k]);
        // Beyond the outermost bins nothing need be told apart, and is too far for an integer where little is reached.
        const double offset = floor((sine - mean) / (high - low) * n_bins + 0.5);
        index[((long long)i * n_x + c) * n_z + k] =
            low < high ? int(min(max(offset, double(-half)), double(half))) + half : 0;
    }
}

// For each trace a thread reads and writes the 8 bytes of a component. In the images neighbours in depth are a row apart,
// so that each thread moves 32 bytes there, and no two share them. IN_SHARED keeps the components in the block's memory,
// in which neighbouring threads have neighbouring places, and touches the images once: about a quarter of the traffic
// for components, none of it beyond the chip (estimated). No thread reads what another one wrote: there is no barrier.
extern "C" __global__ void angular(const float2* traces, const int* receive, const long long* first,
                                   const int* transmit, const int* transmit_delay, const int* receive_delay,
                                   const int2* transmit_active, const int2* receive_active,
                                   const float* transmit_weight, const float* receive_weight,
                                   const signed char* transmit_bin, const signed char* receive_bin,
                                   const float2* table, int n_tx, long long n_pairs, int n_samples, int n_x, int n_z,
                                   int n_components, int column, int row, float2* out) {
    const long long k = THREAD(x), c = THREAD(y), frame = THREAD(z);
    if (k >= n_z) return;
    const long long plane = (long long)n_z * row;
    float2* components = out + frame * n_components * plane + k * row + column + c;
#if IN_SHARED
    DYNAMIC_SHARED(float2, memory);
    float2* sums = memory + threadIdx.x;
    const long long stride = blockDim.x;
    for (int m = 0; m < n_components; m++) sums[m * stride] = make_float2(0.0f, 0.0f);
#else
    float2* sums = components;
    const long long stride = plane;
#endif
    const unsigned last = max(0, n_samples - N_TAPS + 1);
    const float2* trace = traces + frame * n_pairs * n_samples;
    for (int event = 0; event < n_tx; event++) {
        const long long t = (long long)transmit[event] * n_x + c;
        const int2 sent = transmit_active[t];
        if (k < sent.x || k >= sent.y) continue;
        const int delay = transmit_delay[t * n_z + k], bin = transmit_bin[t * n_z + k];
        const float weight = transmit_weight[t * n_z + k];
        for (long long p = first[event]; p < first[event + 1]; p++) {
            const long long r = (long long)receive[p] * n_x + c;
            const int2 heard = receive_active[r];
            if (k < heard.x || k >= heard.y) continue;
            const int ticks = delay + receive_delay[r * n_z + k];
            // One unsigned comparison refuses both what is before the record and what is after it.
            const unsigned sample = ticks >> FRACTION_BITS;
            if (sample >= last) continue;
            const int phase = ticks >> (FRACTION_BITS - PHASE_BITS) & ((1 << PHASE_BITS) - 1);
            float2 value = make_float2(0.0f, 0.0f);
            for (int tap = 0; tap < N_TAPS; tap++)
                value = multiply_add(table[phase * N_TAPS + tap], trace[p * n_samples + sample + tap], value);
            float2* sum = sums + (bin + receive_bin[r * n_z + k]) * stride;
            *sum = *sum + weight * receive_weight[r * n_z + k] * value;
        }
    }
#if IN_SHARED
    for (int m = 0; m < n_components; m++) components[m * plane] = components[m * plane] + sums[m * stride];
#endif
}
