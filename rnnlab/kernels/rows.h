/* Operations on rows: sums, softmax, and what is looked up by index. */

#pragma once
#include "operation.h"

/* out[n] = alpha sum over axes 0 and 1 of a. Sums of SOME rows are summed: rounding errors of long sums stay small. */
#define SOME 64
static void op_sum(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)b, (void)c;
    for (int64_t n = 0; n < o->size[2]; n += WIDTH) {
        int64_t left = o->size[2] - n, counted = 0;
        vec total = {0}, some = {0};
        for (int64_t i = 0; i < o->size[0]; i++) {
            const float *at = a + i * o->a.step[0] + n;
            for (int64_t j = 0; j < o->size[1]; j++, at += o->a.step[1]) {
                some += left >= WIDTH ? load(at) : load_part(at, left);
                if (++counted % SOME == 0) total += some, some = (vec){0};
            }
        }
        total = (total + some) * (float)o->alpha;
        if (left >= WIDTH) store(out + n, total);
        else store_part(out + n, total, left);
    }
}

/* out = alpha times the sum of all, in float64. */
static void op_total(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)b, (void)c;
    double total = 0;
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0; j < o->size[1]; j++)
            for (int64_t n = 0; n < o->size[2]; n++)
                total += a[i * o->a.step[0] + j * o->a.step[1] + n * o->a.step[2]];
    *out = (float)(o->alpha * total);
}

INLINE float row_maximum(const float *x, int64_t size) {
    vec highest = splat(-INFINITY);
    int64_t n = 0;
    for (; n + WIDTH <= size; n += WIDTH) highest = at_least(load(x + n), highest);
    if (n < size) {
        vec rest = splat(-INFINITY);
        memcpy(&rest, x + n, 4 * (size_t)(size - n));
        highest = at_least(rest, highest);
    }
    return largest_of(highest);
}

/* out[i, j] = max over n of a[i, j, n] */
static void op_maximum(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)b, (void)c;
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0; j < o->size[1]; j++)
            out[i * o->out.step[0] + j * o->out.step[1]] =
                row_maximum(a + i * o->a.step[0] + j * o->a.step[1], o->size[2]);
}

/* Softmax along the last axis; b, where it is there, has the maximum of each row, and c takes that of the result. */
static void op_softmax(const Operation *o, float *out, const float *a, const float *b, float *c) {
    int64_t size = o->size[2], whole = size / WIDTH * WIDTH, rest = size - whole;
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0; j < o->size[1]; j++) {
            const float *x = a + i * o->a.step[0] + j * o->a.step[1];
            float *y = out + i * o->out.step[0] + j * o->out.step[1];
            vec sums = {0}, last = {0};
            vec highest = splat(b ? b[i * o->b.step[0] + j * o->b.step[1]] : row_maximum(x, size));
            for (int64_t n = 0; n < whole; n += WIDTH) {
                vec e = exponential(load(x + n) - highest);
                store(y + n, e);
                sums += e;
            }
            if (rest) {
                last = first(exponential(load_part(x + whole, rest) - highest), rest);
                sums += last;
            }
            float factor = 1.0f / sum_of(sums);
            if (c) c[i * o->c.step[0] + j * o->c.step[1]] = factor; /* exp 0 times it */
            for (int64_t n = 0; n < whole; n += WIDTH) store(y + n, load(y + n) * factor);
            if (rest) store_part(y + whole, last * factor, rest);
        }
}

static void op_log(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)b, (void)c;
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0; j < o->size[1]; j++)
            for (int64_t n = 0; n < o->size[2]; n++)
                out[i * o->out.step[0] + j * o->out.step[1] + n] =
                    logf(a[i * o->a.step[0] + j * o->a.step[1] + n * o->a.step[2]]);
}

/* The ids are b, 64-bit integers [size 0]. Rows of a table: out[i] = a[ids[i]]; and out[ids[i]] += a[i]. */
static void op_look_up(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)c;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++)
        memcpy(out + i * o->out.step[0], a + ids[i * o->b.step[0]] * o->a.step[0], 4 * (size_t)o->size[2]);
}

static void op_add_rows(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)c;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++) {
        float *to = out + ids[i * o->b.step[0]] * o->out.step[0];
        const float *from = a + i * o->a.step[0];
        int64_t n = 0;
        for (; n + WIDTH <= o->size[2]; n += WIDTH) store(to + n, load(to + n) + load(from + n));
        for (; n < o->size[2]; n++) to[n] += from[n];
    }
}

/* One of each row: out[i] = a[i, ids[i]]; and out[i, ids[i]] += c. */
static void op_pick(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)c;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++)
        out[i * o->out.step[0]] = a[i * o->a.step[0] + ids[i * o->b.step[0]]];
}

static void op_add_to_picked(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)a;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++) out[i * o->out.step[0] + ids[i * o->b.step[0]]] += *c;
}
