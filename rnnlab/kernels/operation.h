/* The records of a program: one operation on the tensors of each of some models. */

#pragma once
#include "vectors.h"

/* A tensor [U, size 0, size 1, size 2] of U models: the address of the first model's part, the distance in bytes from
   one model's part to the next (0: the models share it), and the strides of the part's axes in numbers. start is NULL
   if the operation has no such operand. */
typedef struct {
    void *start;
    int64_t model_stride_bytes, stride[3];
} View;

typedef struct {
    int32_t code, first_model, n_models; /* the models are first_model to first_model + n_models - 1 */
    int32_t has_epilogue;                /* PRODUCT: store gain s(x) + offset, with the logistic function s */
    int64_t size[3];
    double alpha, beta, gain, offset;
    View out, a, b, c;
} Operation;
