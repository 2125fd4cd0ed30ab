/* Vectors of floats: types, loads and stores of whole and of partial vectors, exp and the logistic function.

   Written with the vector extensions of GCC and Clang, for the width of the processor. No result depends on an address
   or on neighboring numbers: equal operands give equal bits at any position. */

#pragma once
#if !defined(__AVX2__) && !defined(__ARM_NEON)
#error "a processor without AVX2 and NEON: torch is faster there"
#endif
#if defined(__AVX2__)
#include <immintrin.h>
#endif
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define WIDTH 16 /* floats of a vector */
#define ROWS 8   /* of a tile: ROWS x 2 vectors of sums, and the operands of one step, fit into the registers */
#elif defined(__AVX2__)
#define WIDTH 8
#define ROWS 6
#else
#define WIDTH 4
#define ROWS 6
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef float vec_unaligned __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * WIDTH)));

INLINE vec load(const float *p) { return *(const vec_unaligned *)p; }
INLINE void store(float *p, vec x) { *(vec_unaligned *)p = x; }
INLINE vec splat(float x) { return x - (vec){0}; }

/* Partial vectors of n < WIDTH floats. load_over takes the other floats from `rest`, load_part sets them to zero,
   store_part does not write them. `first` keeps the first n floats of a vector and sets the others to zero. */
#if defined(__AVX512F__)
INLINE vec load_over(vec rest, const float *p, int64_t n) {
    return (vec)_mm512_mask_loadu_ps((__m512)rest, (__mmask16)((1u << n) - 1), p);
}
INLINE void store_part(float *p, vec x, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x); }
INLINE vec first(vec x, int64_t n) { return (vec)_mm512_maskz_mov_ps((__mmask16)((1u << n) - 1), (__m512)x); }
#else
INLINE vec load_over(vec rest, const float *p, int64_t n) {
    for (int i = 0; i < WIDTH; i++)
        if (i < n) rest[i] = p[i];
    return rest;
}
INLINE void store_part(float *p, vec x, int64_t n) {
    for (int i = 0; i < WIDTH; i++)
        if (i < n) p[i] = x[i];
}
INLINE vec first(vec x, int64_t n) {
    for (int i = 0; i < WIDTH; i++)
        if (i >= n) x[i] = 0;
    return x;
}
#endif

INLINE vec load_part(const float *p, int64_t n) { return load_over((vec){0}, p, n); }

INLINE vec choose(ints mask, vec yes, vec no) { return (vec)((mask & (ints)yes) | (~mask & (ints)no)); }

/* x if it is beyond the bound or NaN, otherwise the bound; and the square root. One instruction each. */
#if defined(__AVX512F__)
INLINE vec at_least(vec x, vec bound) { return (vec)_mm512_max_ps((__m512)bound, (__m512)x); }
INLINE vec at_most(vec x, vec bound) { return (vec)_mm512_min_ps((__m512)bound, (__m512)x); }
INLINE vec root(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX2__)
INLINE vec at_least(vec x, vec bound) { return (vec)_mm256_max_ps((__m256)bound, (__m256)x); }
INLINE vec at_most(vec x, vec bound) { return (vec)_mm256_min_ps((__m256)bound, (__m256)x); }
INLINE vec root(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }
#else
INLINE vec at_least(vec x, vec bound) { return choose((ints)(x < bound), bound, x); }
INLINE vec at_most(vec x, vec bound) { return choose((ints)(x > bound), bound, x); }
INLINE vec root(vec x) {
    for (int i = 0; i < WIDTH; i++) x[i] = sqrtf(x[i]);
    return x;
}
#endif

/* Indices that interleave two vectors: their first halves, and their second halves. */
#if WIDTH == 16
#define FIRST 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif WIDTH == 8
#define FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND 4, 12, 5, 13, 6, 14, 7, 15
#else
#define FIRST 0, 4, 1, 5
#define SECOND 2, 6, 3, 7
#endif
#if defined(__clang__)
#define SHUFFLED(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLED(x, y, ...) __builtin_shuffle(x, y, (ints){__VA_ARGS__})
#endif

/* Transposes the matrix whose rows are the vectors: interleaves halves log2(WIDTH) times. */
INLINE void transpose(vec x[WIDTH]) {
    vec y[WIDTH];
    _Pragma("GCC unroll 4") for (int turn = 1; turn < WIDTH; turn *= 2) {
        _Pragma("GCC unroll 8") for (int i = 0; i < WIDTH / 2; i++) {
            y[2 * i] = SHUFFLED(x[i], x[i + WIDTH / 2], FIRST);
            y[2 * i + 1] = SHUFFLED(x[i], x[i + WIDTH / 2], SECOND);
        }
        _Pragma("GCC unroll 16") for (int i = 0; i < WIDTH; i++) x[i] = y[i];
    }
}

/* The sum and the largest of the numbers of a vector. */
#if defined(__AVX512F__)
INLINE float sum_of(vec x) { return _mm512_reduce_add_ps((__m512)x); }
INLINE float largest_of(vec x) { return _mm512_reduce_max_ps((__m512)x); }
#else
INLINE float sum_of(vec x) {
    for (int half = WIDTH / 2; half; half /= 2)
        for (int i = 0; i < half; i++) x[i] += x[i + half];
    return x[0];
}
INLINE float largest_of(vec x) {
    for (int half = WIDTH / 2; half; half /= 2)
        for (int i = 0; i < half; i++) x[i] = x[i] < x[i + half] ? x[i + half] : x[i];
    return x[0];
}
#endif

/* exp x = 2^n exp r, with n the nearest integer to x / ln 2, so |r| <= 0.35, and exp r by its Taylor polynomial of
   degree 7, whose error is below the rounding. Below -87.3, where results are no longer normal numbers,
   it is exp(-87.3). */
INLINE vec exponential(vec x) {
    const float log2_e = 1.44269504088896341f, ln2_high = 0.693359375f, ln2_low = -2.12194440054690583e-4f;
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the lowest bits */
    x = at_most(at_least(x, splat(-87.3f)), splat(88.7f));
    vec shifted = x * log2_e + shift;
    vec n = shifted - shift;
    vec r = x - n * ln2_high - n * ln2_low;
    vec p = r * (1.0f / 5040) + (1.0f / 720);
    p = p * r + (1.0f / 120);
    p = p * r + (1.0f / 24);
    p = p * r + (1.0f / 6);
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (vec)((ints)p + ((ints)shifted << 23));
}

INLINE vec logistic(vec x) { return 1.0f / (1.0f + exponential(-x)); }
