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

/* `function`(o, out, a, b, c, rows), TOGETHER rows at a time, which do not wait for each other, and the rest one by one:
   constants where they are used. */
#define TOGETHER 4
typedef void OnRows(const Operation *o, float *out, const float *a, float *b, float *c, int rows);
INLINE void by_rows(const Operation *o, float *out, const float *a, float *b, float *c, OnRows *function) {
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0, rows; j < o->size[1]; j += rows) {
            float *y = out + i * o->out.step[0] + j * o->out.step[1];
            const float *x = a + i * o->a.step[0] + j * o->a.step[1];
            float *of_b = b ? b + i * o->b.step[0] + j * o->b.step[1] : 0;
            float *of_c = c ? c + i * o->c.step[0] + j * o->c.step[1] : 0;
            rows = o->size[1] - j < TOGETHER ? 1 : TOGETHER;
            if (rows == TOGETHER) function(o, y, x, of_b, of_c, TOGETHER);
            else function(o, y, x, of_b, of_c, 1);
        }
}
#define ROWS_OF(r) _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++)

INLINE void row_maxima(const Operation *o, const float *a, float *highest, int rows) {
    int64_t size = o->size[2], whole = size / WIDTH * WIDTH;
    vec high[TOGETHER];
    ROWS_OF(r) high[r] = splat(-INFINITY);
    for (int64_t n = 0; n < whole; n += WIDTH) ROWS_OF(r) high[r] = at_least(load(a + r * o->a.step[1] + n), high[r]);
    if (whole < size)
        ROWS_OF(r) high[r] = at_least(load_over(splat(-INFINITY), a + r * o->a.step[1] + whole, size - whole), high[r]);
    ROWS_OF(r) highest[r] = largest_of(high[r]);
}

/* out[i, j] = max over n of a[i, j, n] */
INLINE void maxima(const Operation *o, float *out, const float *a, float *b, float *c, int rows) {
    (void)b, (void)c;
    float highest[TOGETHER];
    row_maxima(o, a, highest, rows);
    ROWS_OF(r) out[r * o->out.step[1]] = highest[r];
}
static void op_maximum(const Operation *o, float *out, const float *a, float *b, float *c) {
    by_rows(o, out, a, b, c, maxima);
}

/* Softmax along the last axis; b, where it is there, takes the maximum of each row, and c that of the result. */
INLINE void softmax(const Operation *o, float *out, const float *a, float *b, float *c, int rows) {
    int64_t size = o->size[2], whole = size / WIDTH * WIDTH, rest = size - whole;
    int64_t x_row = o->a.step[1], y_row = o->out.step[1];
    vec sums[TOGETHER], last[TOGETHER];
    float highest[TOGETHER], factor[TOGETHER];
    row_maxima(o, a, highest, rows);
    if (b) ROWS_OF(r) b[r * o->b.step[1]] = highest[r];
    ROWS_OF(r) sums[r] = (vec){0};
    for (int64_t n = 0; n < whole; n += WIDTH)
        ROWS_OF(r) {
            vec e = exponential(load(a + r * x_row + n) - highest[r]);
            store(out + r * y_row + n, e);
            sums[r] += e;
        }
    if (rest)
        ROWS_OF(r) {
            last[r] = first(exponential(load_part(a + r * x_row + whole, rest) - highest[r]), rest);
            sums[r] += last[r];
        }
    ROWS_OF(r) factor[r] = 1.0f / sum_of(sums[r]);
    if (c) ROWS_OF(r) c[r * o->c.step[1]] = factor[r]; /* exp 0 times it */
    for (int64_t n = 0; n < whole; n += WIDTH)
        ROWS_OF(r) store(out + r * y_row + n, load(out + r * y_row + n) * factor[r]);
    if (rest) ROWS_OF(r) store_part(out + r * y_row + whole, last[r] * factor[r], rest);
}
static void op_softmax(const Operation *o, float *out, const float *a, float *b, float *c) {
    by_rows(o, out, a, b, c, softmax);
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
