/* Elementwise operations on arrays of three axes; along the last one an operand is dense or one number. */

#pragma once
#include "operation.h"

/* A row of an operand: how far to go from vector to vector, and the number that it consists of where that is 0. */
typedef struct {
    const float *at;
    int64_t step;
    float same[WIDTH];
} Row;

INLINE void begin_row(Row *row, const View *v, const float *start, int64_t i, int64_t j) {
    const float *at = start + i * v->step[0] + j * v->step[1];
    if (v->step[2]) {
        row->at = at;
        row->step = WIDTH;
        return;
    }
    for (int n = 0; n < WIDTH; n++) row->same[n] = *at;
    row->at = row->same;
    row->step = 0;
}

#define DEFINE(name, reads_b, reads_c, value)                                                                          \
    static void name(const Operation *o, float *out, const float *a, const float *b, const float *c) {                 \
        const float alpha = (float)o->alpha, beta = (float)o->beta;                                                    \
        (void)alpha, (void)beta;                                                                                       \
        Row row_a, row_b, row_c;                                                                                       \
        for (int64_t i = 0; i < o->size[0]; i++)                                                                       \
            for (int64_t j = 0; j < o->size[1]; j++) {                                                                 \
                float *to = out + i * o->out.step[0] + j * o->out.step[1];                                             \
                begin_row(&row_a, &o->a, a, i, j);                                                                     \
                if (reads_b) begin_row(&row_b, &o->b, b, i, j);                                                        \
                if (reads_c) begin_row(&row_c, &o->c, c, i, j);                                                        \
                int64_t n = 0;                                                                                         \
                for (; n + WIDTH <= o->size[2]; n += WIDTH) {                                                          \
                    vec x = load(row_a.at), y = x, z = x;                                                              \
                    row_a.at += row_a.step;                                                                            \
                    if (reads_b) y = load(row_b.at), row_b.at += row_b.step;                                           \
                    if (reads_c) z = load(row_c.at), row_c.at += row_c.step;                                           \
                    (void)y, (void)z;                                                                                  \
                    store(to + n, value);                                                                              \
                }                                                                                                      \
                int64_t left = o->size[2] - n;                                                                         \
                if (left) {                                                                                            \
                    vec x = load_part(row_a.at, left), y = x, z = x;                                                   \
                    if (reads_b) y = load_part(row_b.at, left);                                                        \
                    if (reads_c) z = load_part(row_c.at, left);                                                        \
                    (void)y, (void)z;                                                                                  \
                    store_part(to + n, value, left);                                                                   \
                }                                                                                                      \
            }                                                                                                          \
    }

/* torch's semantics, x first, y and z the operands after it. */
DEFINE(op_copy, 0, 0, x)
DEFINE(op_add, 1, 0, x + alpha * y)
DEFINE(op_mul, 1, 0, x * y)
DEFINE(op_addcmul, 1, 1, x + alpha * (y * z))
DEFINE(op_lerp, 1, 1, x + z * (y - x))
DEFINE(op_affine, 0, 0, alpha * x + beta)
DEFINE(op_exp, 0, 0, exponential(x))
DEFINE(op_reciprocal, 0, 0, 1.0f / x)
DEFINE(op_logistic, 0, 0, alpha * logistic(x) + beta)
DEFINE(op_clamp_min, 0, 0, at_least(x, splat(alpha)))
DEFINE(op_sigmoid_backward, 1, 0, x * ((1.0f - y) * y))
DEFINE(op_tanh_backward, 1, 0, x * (1.0f - y * y))
DEFINE(op_threshold_backward, 1, 0, choose((ints)(y <= alpha), (vec){0}, x))

static void op_fill(const Operation *o, float *out, const float *a, const float *b, const float *c) {
    (void)a, (void)b, (void)c;
    for (int64_t i = 0; i < o->size[0]; i++)
        for (int64_t j = 0; j < o->size[1]; j++)
            for (int64_t n = 0; n < o->size[2]; n++)
                out[i * o->out.step[0] + j * o->out.step[1] + n] = (float)o->alpha;
}
