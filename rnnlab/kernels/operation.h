/* What a program consists of: one operation on the tensors of each of some models. */

#pragma once
#include "vectors.h"

/* A tensor [U, ...] of which each model has one [size 0, size 1, size 2]: where it begins for the first of its models,
   how many bytes lie between models, and how many numbers from one to the next along each axis. NULL: none. */
typedef struct {
    void *start;
    int64_t model_bytes, step[3];
} View;

typedef struct {
    int32_t code, first, models; /* models first to first + models - 1 do it */
    int32_t squashes;            /* PRODUCT: afterwards gain s(x) + offset, with the logistic function s */
    int64_t size[3];
    double alpha, beta, gain, offset;
    View out, a, b, c;
} Operation;
