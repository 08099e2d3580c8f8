// Delays and windows of one leg of a wave's way, for the tables and for sums that do without.
#pragma once

#include "common.cuh"

// Wave fronts of one leg, as `leg_tables` takes them.
struct Legs {
    const signed char* shape;
    const long long* first;
    const double *position, *time, *axis;
    const long long* edges;
    double slowness, units, max_sine, taper, pedestal;
};

// Delay of a leg at a point in ticks, and the window's value there.
__device__ __forceinline__ int delay_at(const Legs& legs, int leg, double x, double z, double& weight) {
    double ax = legs.axis[3 * leg], ay = legs.axis[3 * leg + 1], az = legs.axis[3 * leg + 2];
    double arrival = 1e300, sine = 0.0;
    int shape = legs.shape[leg];
    for (long long s = legs.first[leg]; s < legs.first[leg + 1]; s++) {
        double dx = x - legs.position[3 * s], dy = -legs.position[3 * s + 1], dz = z - legs.position[3 * s + 2];
        double along = dx * ax + dy * ay + dz * az;
        double distance = sqrt(dx * dx + dy * dy + dz * dz);
        double path = shape == PLANE ? along : shape == FOCUSED && along < 0.0 ? -distance : distance;
        arrival = fmin(arrival, legs.time[s] + path * legs.slowness);
        if (legs.max_sine <= 1.0) {
            double cosine = along / fmax(distance, 1e-12);
            // Above 1 behind the element.
            sine = shape == SPHERICAL && along <= 0.0 ? 2.0 : sqrt(fmax(0.0, 1.0 - cosine * cosine));
        }
    }
    weight = 1.0;
    if (legs.max_sine <= 1.0) {
        if (sine > legs.max_sine) {
            weight = 0.0;
        } else if (sine > (1.0 - legs.taper) * legs.max_sine) {
            double phase = (sine / legs.max_sine - (1.0 - legs.taper)) / legs.taper;
            weight = legs.pedestal + (1.0 - legs.pedestal) * (0.5 + 0.5 * cospi(phase));
        }
    }
    double ticks = floor(arrival * legs.units + 0.5);
    return int(fmin(fmax(ticks, double(legs.edges[0])), double(legs.edges[1])));
}

// Parameters from which `Legs` is made.
#define LEGS(leg)                                                                                       \
    const signed char *__restrict__ leg##_shape, const long long *__restrict__ leg##_first,             \
        const double *__restrict__ leg##_position, const double *__restrict__ leg##_time,               \
        const double *__restrict__ leg##_axis, const long long *__restrict__ leg##_edges,               \
        double leg##_slowness, double leg##_units, double leg##_max_sine, double leg##_taper, double leg##_pedestal
#define GIVEN(leg)                                                                                      \
    leg##_shape, leg##_first, leg##_position, leg##_time, leg##_axis, leg##_edges, leg##_slowness,      \
        leg##_units, leg##_max_sine, leg##_taper, leg##_pedestal
