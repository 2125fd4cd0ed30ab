/* Elementwise operations on arrays of three axes. Along the last axis an operand is dense or a single number. */

#pragma once
#include "operation.h"

/* The start of a row of an operand, and the factor of its position from vector to vector: 1 if the row is dense, 0 if
   it is a single number. */
typedef struct {
    const float *at;
    int64_t step;
} Row;

INLINE Row row_of(const View *v, const float *start, int64_t i, int64_t j, float same[WIDTH]) {
    const float *at = start + i * v->stride[0] + j * v->stride[1];
    if (v->stride[2]) return (Row){at, 1};
    store(same, splat(*at));
    return (Row){same, 0};
}

/* Stores `value`, an expression of x, y and z, for each vector of a row. n * step is n where the operand is dense. */
#define ALONG_ROW(reads_b, reads_c, step_a, step_b, step_c, value)                                                     \
    int64_t n = 0;                                                                                                     \
    for (; n + WIDTH <= o->size[2]; n += WIDTH) {                                                                      \
        vec x = load(row_a.at + n * step_a), y = x, z = x;                                                             \
        if (reads_b) y = load(row_b.at + n * step_b);                                                                  \
        if (reads_c) z = load(row_c.at + n * step_c);                                                                  \
        (void)y, (void)z;                                                                                              \
        store(to + n, value);                                                                                          \
    }                                                                                                                  \
    int64_t left = o->size[2] - n;                                                                                     \
    if (left) {                                                                                                        \
        vec x = load_part(row_a.at + n * step_a, left), y = x, z = x;                                                  \
        if (reads_b) y = load_part(row_b.at + n * step_b, left);                                                       \
        if (reads_c) z = load_part(row_c.at + n * step_c, left);                                                       \
        (void)y, (void)z;                                                                                              \
        store_part(to + n, value, left);                                                                               \
    }

#define DEFINE(name, reads_b, reads_c, value)                                                                          \
    static void name(const Operation *o, float *out, const float *a, const float *b, const float *c) {                 \
        const float alpha = (float)o->alpha, beta = (float)o->beta;                                                    \
        (void)alpha, (void)beta;                                                                                       \
        float same[3][WIDTH];                                                                                          \
        int dense = o->a.stride[2] && (!(reads_b) || o->b.stride[2]) && (!(reads_c) || o->c.stride[2]);                \
        for (int64_t i = 0; i < o->size[0]; i++)                                                                       \
            for (int64_t j = 0; j < o->size[1]; j++) {                                                                 \
                float *to = out + i * o->out.stride[0] + j * o->out.stride[1];                                         \
                Row row_a = row_of(&o->a, a, i, j, same[0]), row_b = row_a, row_c = row_a;                             \
                if (reads_b) row_b = row_of(&o->b, b, i, j, same[1]);                                                  \
                if (reads_c) row_c = row_of(&o->c, c, i, j, same[2]);                                                  \
                (void)row_b, (void)row_c;                                                                              \
                if (dense) {                                                                                           \
                    ALONG_ROW(reads_b, reads_c, 1, 1, 1, value)                                                        \
                } else {                                                                                               \
                    ALONG_ROW(reads_b, reads_c, row_a.step, row_b.step, row_c.step, value)                             \
                }                                                                                                      \
            }                                                                                                          \
    }

/* The semantics are torch's: x is the first operand, y and z are the second and the third. */
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
                out[i * o->out.stride[0] + j * o->out.stride[1] + n] = (float)o->alpha;
}
