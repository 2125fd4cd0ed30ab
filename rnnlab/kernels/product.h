/* out = beta plus + alpha a b: matrices of one model, a [M, K], b [K, N], either may be transposed.

   Columns of b are taken two vectors at a time, K in pieces that stay in the cache; ROWS x 2 vectors of sums are held
   in registers (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"). */

#pragma once
#include "operation.h"

#define PIECE 256 /* of K */
#define COLUMNS (2 * WIDTH)

/* Sums over k of a[i, k] b[k, j] for `rows` rows and `vectors` vectors; constants where it is called. */
#define SUMS(rows, vectors, a_at)                                                                                      \
    _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++)                                                             \
        _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++) sum[i][j] = (vec){0};                                \
    for (int64_t k = 0; k < count; k++) {                                                                              \
        vec right[2];                                                                                                  \
        _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++) right[j] = load(b + k * b_row + j * WIDTH);          \
        _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++) {                                                       \
            vec left = splat(a_at);                                                                                    \
            _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++) sum[i][j] += left * right[j];                    \
        }                                                                                                              \
    }

typedef struct {
    float *out;
    const float *plus; /* NULL: none */
    int64_t out_row, plus_row, columns; /* columns: how many of the two vectors' are there */
    float alpha, beta, gain, offset;
    int squashes;
} Target;

/* One vector of the result; `dense`: all of it is there. */
INLINE void finish(Target t, int64_t row, int vector, int dense, vec sum) {
    int64_t left = t.columns - vector * WIDTH;
    float *out = t.out + row * t.out_row + vector * WIDTH;
    const float *plus = t.plus ? t.plus + row * t.plus_row + vector * WIDTH : 0;
    vec value = t.alpha * sum;
    if (dense) {
        if (plus) value += t.beta * load(plus);
        if (t.squashes) value = t.gain * logistic(value) + t.offset;
        store(out, value);
    } else {
        if (plus) value += t.beta * load_part(plus, left);
        if (t.squashes) value = t.gain * logistic(value) + t.offset;
        store_part(out, value, left);
    }
}

/* `rows` x `vectors` of the result. `apart`: rows of a lie `a_step` apart and k is dense; else rows are dense. */
INLINE void tile(int rows, int vectors, int apart, const float *a, int64_t a_step, const float *b, int64_t b_row,
                 int64_t count, Target t, int64_t first_row) {
    vec sum[ROWS][2];
    if (count >= 64) /* what is needed at the end is fetched meanwhile; short sums have no time for it */
        _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++)
            _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++) {
                __builtin_prefetch(t.out + (first_row + i) * t.out_row + j * WIDTH, 1);
                if (t.plus) __builtin_prefetch(t.plus + (first_row + i) * t.plus_row + j * WIDTH);
            }
    if (apart) {
        SUMS(rows, vectors, a[i * a_step + k])
    } else {
        SUMS(rows, vectors, a[k * a_step + i])
    }
    int dense = t.columns == vectors * WIDTH;
    if (dense) {
        _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++)
            _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++) finish(t, first_row + i, j, 1, sum[i][j]);
    } else {
        _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++)
            _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++)
                finish(t, first_row + i, j, j < vectors - 1, sum[i][j]);
    }
}

/* All rows of `vectors` vectors of columns, over one piece of K. */
#define TILE(rows, vectors, apart)                                                                                     \
    case rows: tile(rows, vectors, apart, at, a_step, b, b_row, count, t, row); break;
#if ROWS == 8
#define MORE_TILES(vectors, apart) TILE(7, vectors, apart) TILE(8, vectors, apart)
#else
#define MORE_TILES(vectors, apart)
#endif
#define DEFINE_COLUMNS(name, vectors, apart)                                                                           \
    static void name(int64_t n_rows, const float *a, int64_t a_step, const float *b, int64_t b_row, int64_t count,     \
                     Target t) {                                                                                       \
        for (int64_t row = 0; row < n_rows; row += ROWS) {                                                             \
            const float *at = a + row * (apart ? a_step : 1);                                                          \
            switch (n_rows - row < ROWS ? n_rows - row : ROWS) {                                                       \
                TILE(1, vectors, apart) TILE(2, vectors, apart) TILE(3, vectors, apart) TILE(4, vectors, apart)        \
                TILE(5, vectors, apart) TILE(6, vectors, apart) MORE_TILES(vectors, apart)                             \
            }                                                                                                          \
        }                                                                                                              \
    }
DEFINE_COLUMNS(one_vector_apart, 1, 1)
DEFINE_COLUMNS(two_vectors_apart, 2, 1)
DEFINE_COLUMNS(one_vector_dense, 1, 0)
DEFINE_COLUMNS(two_vectors_dense, 2, 0)

/* Columns of b side by side, filled up with zeros: [count, COLUMNS]. */
static void pack(const float *b, int64_t b_row, int64_t b_column, int64_t count, int64_t columns, float *to) {
    if (b_column == 1) {
        for (int64_t k = 0; k < count; k++, to += COLUMNS, b += b_row) {
            if (columns == COLUMNS) {
                store(to, load(b));
                store(to + WIDTH, load(b + WIDTH));
            } else {
                memset(to, 0, 4 * COLUMNS);
                memcpy(to, b, 4 * (size_t)columns);
            }
        }
        return;
    }
    int64_t j = 0, whole = count / WIDTH * WIDTH;
    for (; j + WIDTH <= columns; j += WIDTH) {
        for (int64_t k = 0; k < whole; k += WIDTH) {
            vec block[WIDTH];
            _Pragma("GCC unroll 16") for (int i = 0; i < WIDTH; i++) block[i] = load(b + (j + i) * b_column + k);
            transpose(block);
            _Pragma("GCC unroll 16") for (int i = 0; i < WIDTH; i++) store(to + (k + i) * COLUMNS + j, block[i]);
        }
        for (int64_t k = whole; k < count; k++)
            for (int64_t i = j; i < j + WIDTH; i++) to[k * COLUMNS + i] = b[i * b_column + k];
    }
    for (; j < COLUMNS; j++)
        for (int64_t k = 0; k < count; k++) to[k * COLUMNS + j] = j < columns ? b[j * b_column + k] : 0;
}

/* One column, which would leave most of a vector empty: by dot products, or by many rows at once. */
static void single_column(int64_t n_rows, int64_t K, const float *a, int64_t a_row, int64_t a_k, const float *b,
                          int64_t b_k, Target t) {
    int64_t whole = K / WIDTH * WIDTH;
    if (a_k == 1 && b_k == 1) {
        for (int64_t row = 0; row < n_rows; row++, a += a_row) {
            vec sums = {0};
            for (int64_t k = 0; k < whole; k += WIDTH) sums += load(a + k) * load(b + k);
            if (whole < K) sums += load_part(a + whole, K - whole) * load_part(b + whole, K - whole);
            finish(t, row, 0, 0, splat(sum_of(sums)));
        }
        return;
    }
    for (int64_t row = 0; row < n_rows; row += WIDTH) {
        int64_t rows = n_rows - row < WIDTH ? n_rows - row : WIDTH;
        vec sums = {0};
        if (rows == WIDTH)
            for (int64_t k = 0; k < K; k++) sums += load(a + k * a_k + row) * b[k * b_k];
        else
            for (int64_t k = 0; k < K; k++) sums += load_part(a + k * a_k + row, rows) * b[k * b_k];
        for (int64_t i = 0; i < rows; i++) finish(t, row + i, 0, 0, splat(sums[i]));
    }
}

static void product(const Operation *o, float *out, const float *a, const float *b, const float *plus) {
    static __thread float packed[PIECE * COLUMNS] __attribute__((aligned(64)));
    int64_t M = o->size[0], N = o->size[1], K = o->size[2];
    int64_t a_row = o->a.step[0], a_k = o->a.step[1], b_k = o->b.step[0], b_column = o->b.step[1];
    for (int64_t j = 0; j < N; j += COLUMNS) {
        int64_t columns = N - j < COLUMNS ? N - j : COLUMNS;
        Target t = {out + j, plus ? plus + j : 0, o->out.step[0], o->c.step[0], columns,
                    (float)o->alpha, (float)o->beta, (float)o->gain, (float)o->offset, o->squashes};
        if (columns == 1 && (a_k != 1 || K <= PIECE * COLUMNS)) {
            const float *column = b + j * b_column;
            if (a_k == 1 && b_k != 1) {
                for (int64_t k = 0; k < K; k++) packed[k] = column[k * b_k];
                single_column(M, K, a, a_row, a_k, packed, 1, t);
            } else {
                single_column(M, K, a, a_row, a_k, column, b_k, t);
            }
            continue;
        }
        for (int64_t k = 0; k < K; k += PIECE) {
            int64_t count = K - k < PIECE ? K - k : PIECE;
            const float *right = b + k * b_k + j * b_column;
            int64_t right_row = b_k;
            int is_whole = columns == COLUMNS || columns == WIDTH;
            if (b_column != 1 || !is_whole || (b_k > 4 * COLUMNS && M > 2 * ROWS)) {
                pack(right, b_k, b_column, count, columns, packed);
                right = packed;
                right_row = COLUMNS;
            }
            Target piece = t;
            piece.squashes = o->squashes && k + count == K;
            if (k) { /* to what is there already */
                piece.plus = piece.out;
                piece.plus_row = piece.out_row;
                piece.beta = 1.0f;
            }
            int is_wide = columns > WIDTH;
            if (a_k == 1)
                (is_wide ? two_vectors_apart : one_vector_apart)(M, a + k, a_row, right, right_row, count, piece);
            else
                (is_wide ? two_vectors_dense : one_vector_dense)(M, a + k * a_k, a_k, right, right_row, count, piece);
        }
    }
}
