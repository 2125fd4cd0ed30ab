/* Operations on rows: sums, maxima, softmax, and operations by index. */

#pragma once
#include "operation.h"

/* out[n] = alpha times the sum of a over axes 0 and 1. PARTIAL rows are summed at a time, and then these sums: so the
   rounding errors of long sums stay small. */
#define PARTIAL 64
static void op_sum(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)b, (void)c;
    for (int64_t n = 0; n < o->size[2]; n += WIDTH) {
        int64_t left = o->size[2] - n, counted = 0;
        vec total = {0}, partial = {0};
        for (int64_t i = 0; i < o->size[0]; i++) {
            const float *at = a + i * o->a.stride[0] + n;
            for (int64_t j = 0; j < o->size[1]; j++, at += o->a.stride[1]) {
                partial += left >= WIDTH ? load(at) : load_part(at, left);
                if (++counted % PARTIAL == 0) total += partial, partial = (vec){0};
            }
        }
        total = (total + partial) * (float)o->alpha;
        if (left >= WIDTH) store(out + n, total);
        else store_part(out + n, total, left);
    }
}

/* out = alpha times the sum of all numbers of a, summed in float64. */
static void op_sum_all(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)b, (void)c;
    double total = 0;
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0; j < o->size[1]; j++)
            for (int64_t n = 0; n < o->size[2]; n++)
                total += a[i * o->a.stride[0] + j * o->a.stride[1] + n * o->a.stride[2]];
    *out = (float)(o->alpha * total);
}

/* Calls `function`(o, out, a, b, c, rows) for TOGETHER rows at a time, whose instructions do not wait for each other,
   and for the last rows one by one. `rows` is a constant in each call. */
#define TOGETHER 4
typedef void RowFunction(const Operation *o, float *out, const float *a, float *b, float *c, int rows);
INLINE void by_rows(const Operation *o, float *out, const float *a, float *b, float *c, RowFunction *function) {
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0, rows; j < o->size[1]; j += rows) {
            float *y = out + i * o->out.stride[0] + j * o->out.stride[1];
            const float *x = a + i * o->a.stride[0] + j * o->a.stride[1];
            float *of_b = b ? b + i * o->b.stride[0] + j * o->b.stride[1] : 0;
            float *of_c = c ? c + i * o->c.stride[0] + j * o->c.stride[1] : 0;
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
    int64_t row = o->a.stride[1];
    for (int64_t n = 0; n < whole; n += WIDTH) ROWS_OF(r) high[r] = at_least(load(a + r * row + n), high[r]);
    if (whole < size)
        ROWS_OF(r) high[r] = at_least(load_over(splat(-INFINITY), a + r * row + whole, size - whole), high[r]);
    ROWS_OF(r) highest[r] = largest_of(high[r]);
}

/* out[i, j] = max over n of a[i, j, n] */
INLINE void maxima(const Operation *o, float *out, const float *a, float *b, float *c, int rows) {
    (void)b, (void)c;
    float highest[TOGETHER];
    row_maxima(o, a, highest, rows);
    ROWS_OF(r) out[r * o->out.stride[1]] = highest[r];
}
static void op_maximum(const Operation *o, float *out, const float *a, float *b, float *c) {
    by_rows(o, out, a, b, c, maxima);
}

/* Softmax along the last axis. b, unless it is NULL, takes the maximum of each row, and c that of each result row. */
INLINE void softmax(const Operation *o, float *out, const float *a, float *b, float *c, int rows) {
    int64_t size = o->size[2], whole = size / WIDTH * WIDTH, rest = size - whole;
    int64_t x_row = o->a.stride[1], y_row = o->out.stride[1];
    vec sums[TOGETHER], last[TOGETHER];
    float highest[TOGETHER], factor[TOGETHER];
    row_maxima(o, a, highest, rows);
    if (b) ROWS_OF(r) b[r * o->b.stride[1]] = highest[r];
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
    if (c) ROWS_OF(r) c[r * o->c.stride[1]] = factor[r]; /* exp(0) times the factor */
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
                out[i * o->out.stride[0] + j * o->out.stride[1] + n] =
                    logf(a[i * o->a.stride[0] + j * o->a.stride[1] + n * o->a.stride[2]]);
}

/* Rows of a table by index: out[i] = a[ids[i]], and out[ids[i]] += a[i]. The ids are b, 64-bit integers [size 0]. */
static void op_index_select(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)c;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++)
        memcpy(out + i * o->out.stride[0], a + ids[i * o->b.stride[0]] * o->a.stride[0], 4 * (size_t)o->size[2]);
}

static void op_index_add(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)c;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++) {
        float *to = out + ids[i * o->b.stride[0]] * o->out.stride[0];
        const float *from = a + i * o->a.stride[0];
        int64_t n = 0;
        for (; n + WIDTH <= o->size[2]; n += WIDTH) store(to + n, load(to + n) + load(from + n));
        for (; n < o->size[2]; n++) to[n] += from[n];
    }
}

/* One number of each row by index: out[i] = a[i, ids[i]], and out[i, ids[i]] += c. */
static void op_gather(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)c;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++)
        out[i * o->out.stride[0]] = a[i * o->a.stride[0] + ids[i * o->b.stride[0]]];
}

static void op_scatter_add(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)a;
    const int64_t *ids = (const int64_t *)b;
    for (int64_t i = 0; i < o->size[0]; i++) out[i * o->out.stride[0] + ids[i * o->b.stride[0]]] += *c;
}
