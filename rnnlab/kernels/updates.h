/* Gradient clipping and the updates of a model's parameters. `size` is [1, 1, n]; settings change from step to step. */

#pragma once
#include "operation.h"

typedef struct {
    double learning_rate, weight_decay, correction1, correction2; /* 1 - beta1^t, and the square root of 1 - beta2^t */
    double clip_norm; /* infinite: no clipping */
} Settings;

#define BETA1 0.9
#define BETA2 0.999
#define EPSILON 1e-8

/* Adds the sum of squares of a, a part of a model's gradients, to out, float64. alpha 0: out is set to zero first. */
static void op_add_squares(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)b, (void)c;
    double *total = (double *)out;
    if (o->alpha == 0) *total = 0;
    for (int64_t first = 0; first < o->size[2]; first += 1024) {
        int64_t end = first + 1024 < o->size[2] ? first + 1024 : o->size[2], n = first;
        vec sums = {0};
        for (; n + WIDTH <= end; n += WIDTH) sums += load(a + n) * load(a + n);
        *total += sum_of(sums);
        for (; n < end; n++) *total += (double)a[n] * a[n];
    }
}

/* out = min(1, clip_norm / (norm + 1e-6)) out, where a is the sum of squares: norm = sqrt(a). */
static void clip(const Operation *o, float *out, const float *a, const Settings *s) {
    double factor = s->clip_norm / (sqrt(*(const double *)a) + 1e-6);
    if (!(factor < 1)) return;
    int64_t n = 0;
    for (; n + WIDTH <= o->size[2]; n += WIDTH) store(out + n, load(out + n) * (float)factor);
    for (; n < o->size[2]; n++) out[n] *= (float)factor;
}

/* out: parameters, a: gradients. */
static void sgd(const Operation *o, float *out, const float *a, const Settings *s) {
    const float rate = (float)s->learning_rate, decay = (float)s->weight_decay;
    for (int64_t n = 0; n < o->size[2]; n += WIDTH) {
        int64_t left = o->size[2] - n;
        vec p = left >= WIDTH ? load(out + n) : load_part(out + n, left);
        vec g = left >= WIDTH ? load(a + n) : load_part(a + n, left);
        p -= rate * (g + decay * p);
        if (left >= WIDTH) store(out + n, p);
        else store_part(out + n, p, left);
    }
}

/* Adam (Kingma and Ba 2015, algorithm 1); alpha 1: AdamW (Loshchilov and Hutter 2019). out: parameters, a: gradients,
   b, c: the two moments. */
static void adam(const Operation *o, float *out, const float *a, float *b, float *c, const Settings *s) {
    const float decay = (float)s->weight_decay, rate = (float)(s->learning_rate / s->correction1);
    const float added = o->alpha == 0 ? decay : 0;
    const float kept = (float)(o->alpha == 0 ? 1 : 1 - s->learning_rate * s->weight_decay);
    const float inverse = (float)(1 / s->correction2);
    for (int64_t n = 0; n < o->size[2]; n += WIDTH) {
        int64_t left = o->size[2] - n;
        int whole = left >= WIDTH;
        vec p = whole ? load(out + n) : load_part(out + n, left), g = whole ? load(a + n) : load_part(a + n, left);
        vec first = whole ? load(b + n) : load_part(b + n, left), second = whole ? load(c + n) : load_part(c + n, left);
        g += added * p;
        p *= kept;
        first += (float)(1 - BETA1) * (g - first);
        second = (float)BETA2 * second + (float)(1 - BETA2) * (g * g);
        p -= rate * first / (root(second) * inverse + (float)EPSILON);
        if (whole) store(out + n, p), store(b + n, first), store(c + n, second);
        else store_part(out + n, p, left), store_part(b + n, first, left), store_part(c + n, second, left);
    }
}
