/* One LSTM layer and its head by hand, and a main that times it beside the generated one. */
#define _POSIX_C_SOURCE 199309L
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GATES (4 * HIDDEN)
/* Columns summed at once; the fastest of 16 to 256 on an AVX2 machine. */
#define BLOCK 256
#define STEPS 64

static inline float tanh_of(float v)
{
    const float low = v < -7.9f ? -7.9f : v, x = low > 7.9f ? 7.9f : low, s = x * x;
    float p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
    float q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

static inline float logistic_of(float x) { return 0.5f + 0.5f * tanh_of(0.5f * x); }

/* y[m] += x[n] W[n, m], a block of columns at a time. */
static inline void columns(
    float *restrict y, const float *restrict x, const float *restrict w, int n, int m)
{
    int j = 0;
    for (; j + BLOCK <= m; j += BLOCK) {
        float sum[BLOCK];
        for (int i = 0; i < BLOCK; ++i)
            sum[i] = y[j + i];
        for (int k = 0; k < n; ++k)
            for (int i = 0; i < BLOCK; ++i)
                sum[i] += x[k] * w[m * k + j + i];
        for (int i = 0; i < BLOCK; ++i)
            y[j + i] = sum[i];
    }
    const int rest = m - j;
    for (int k = 0; k < n; ++k)
        for (int i = 0; i < rest; ++i)
            y[j + i] += x[k] * w[m * k + j + i];
}

__attribute__((noinline)) static void by_hand(const float *restrict h, const float *restrict c,
    const float *restrict x, float *restrict h_out, float *restrict c_out, float *restrict said)
{
    float gate[GATES], head[HEAD];
    for (int j = 0; j < GATES; ++j)
        gate[j] = x_bias[j];
    columns(gate, x, x_kernel, FEATURES, GATES);
    columns(gate, h, h_kernel, HIDDEN, GATES);
    for (int j = 0; j < HIDDEN; ++j) {
        c_out[j] = logistic_of(gate[HIDDEN + j]) * c[j]
            + logistic_of(gate[j]) * tanh_of(gate[2 * HIDDEN + j]);
        h_out[j] = logistic_of(gate[3 * HIDDEN + j]) * tanh_of(c_out[j]);
    }
    for (int j = 0; j < HEAD; ++j)
        head[j] = head_bias[j];
    columns(head, h_out, head_kernel, HIDDEN, HEAD);
    for (int j = 0; j < HEAD; ++j)
        head[j] = tanh_of(head[j]);
    for (int j = 0; j < OUTPUTS; ++j)
        said[j] = out_bias[j];
    columns(said, head, out_kernel, HEAD, OUTPUTS);
}

typedef void (*step_of)(const float *restrict, const float *restrict, const float *restrict,
    float *restrict, float *restrict, float *restrict);

static float h[2][HIDDEN], c[2][HIDDEN], said[OUTPUTS];

static double lap(step_of step)
{
    struct timespec a, b;
    for (int j = 0; j < HIDDEN; ++j)
        h[0][j] = c[0][j] = 0.0f;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int e = 0; e < STEPS; ++e)
        step(h[e % 2], c[e % 2], inputs + FEATURES * e, h[1 - e % 2], c[1 - e % 2], said);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (1e9 * (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec)) / STEPS;
}

/* Prints both answers, then a line for each lap: nanoseconds of a generated step and of ours. */
int main(int argc, char **argv)
{
    const step_of both[2] = {generated, by_hand};
    for (int way = 0; way < 2; ++way) {
        lap(both[way]);
        for (int j = 0; j < OUTPUTS; ++j)
            printf("%.9g ", (double)said[j]);
        printf("\n");
    }
    for (int laps = argc == 2 ? atoi(argv[1]) : 0; laps > 0; --laps) {
        const double first = lap(generated);
        printf("%.1f %.1f\n", first, lap(by_hand));
    }
    return 0;
}
