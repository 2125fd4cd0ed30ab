/* out = beta addend + alpha a b, for the matrices of one model: a [rows, terms], b [terms, columns]. a and b may be
   transposed.

   The columns of b are processed two vectors at a time, the terms in panels that stay in the cache; ROWS x 2 vectors of
   sums are held in registers (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"). */

#pragma once
#include "operation.h"

#define PANEL 256 /* terms */
#define COLUMNS (2 * WIDTH)

/* Sums over k of a[i, k] b[k, j] for `rows` rows and `vectors` vectors, which are constants at each use. */
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
    const float *addend;                  /* NULL: none */
    int64_t out_row, addend_row, columns; /* columns: how many columns of the two vectors exist */
    float alpha, beta, gain, offset;
    int has_epilogue;
} Target;

/* Stores one vector of the result. `dense`: all its columns exist. */
INLINE void finish(Target t, int64_t row, int vector, int dense, vec sum) {
    int64_t left = t.columns - vector * WIDTH;
    float *out = t.out + row * t.out_row + vector * WIDTH;
    const float *addend = t.addend ? t.addend + row * t.addend_row + vector * WIDTH : 0;
    vec value = t.alpha * sum;
    if (dense) {
        if (addend) value += t.beta * load(addend);
        if (t.has_epilogue) value = t.gain * logistic(value) + t.offset;
        store(out, value);
    } else {
        if (addend) value += t.beta * load_part(addend, left);
        if (t.has_epilogue) value = t.gain * logistic(value) + t.offset;
        store_part(out, value, left);
    }
}

/* A tile of `rows` x `vectors` of the result. `strided`: the rows of a are `a_stride` apart and its terms are dense;
   otherwise the terms are `a_stride` apart and the rows are dense. */
INLINE void tile(int rows, int vectors, int strided, const float *a, int64_t a_stride, const float *b, int64_t b_row,
                 int64_t count, Target t, int64_t first_row) {
    vec sum[ROWS][2];
    if (count >= 64) /* prefetch what the end of the tile needs; a short sum is over before it arrives */
        _Pragma("GCC unroll 8") for (int i = 0; i < rows; i++)
            _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++) {
                __builtin_prefetch(t.out + (first_row + i) * t.out_row + j * WIDTH, 1);
                if (t.addend) __builtin_prefetch(t.addend + (first_row + i) * t.addend_row + j * WIDTH);
            }
    if (strided) {
        SUMS(rows, vectors, a[i * a_stride + k])
    } else {
        SUMS(rows, vectors, a[k * a_stride + i])
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

/* All rows of `vectors` vectors of columns, over one panel of terms. */
#define TILE(rows, vectors, strided)                                                                                   \
    case rows: tile(rows, vectors, strided, at, a_stride, b, b_row, count, t, row); break;
#if ROWS == 8
#define MORE_TILES(vectors, strided) TILE(7, vectors, strided) TILE(8, vectors, strided)
#else
#define MORE_TILES(vectors, strided)
#endif
#define DEFINE_COLUMNS(name, vectors, strided)                                                                         \
    static void name(int64_t n_rows, const float *a, int64_t a_stride, const float *b, int64_t b_row, int64_t count,   \
                     Target t) {                                                                                       \
        for (int64_t row = 0; row < n_rows; row += ROWS) {                                                             \
            const float *at = a + row * (strided ? a_stride : 1);                                                      \
            switch (n_rows - row < ROWS ? n_rows - row : ROWS) {                                                       \
                TILE(1, vectors, strided) TILE(2, vectors, strided) TILE(3, vectors, strided) TILE(4, vectors, strided) \
                TILE(5, vectors, strided) TILE(6, vectors, strided) MORE_TILES(vectors, strided)                       \
            }                                                                                                          \
        }                                                                                                              \
    }
DEFINE_COLUMNS(one_vector_strided, 1, 1)
DEFINE_COLUMNS(two_vectors_strided, 2, 1)
DEFINE_COLUMNS(one_vector_dense, 1, 0)
DEFINE_COLUMNS(two_vectors_dense, 2, 0)

/* Copies columns of b to a dense panel [count, COLUMNS], padded with zeros. */
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

/* A single column, which would leave most of a vector empty: by dot products, or by many rows at once. */
static void single_column(int64_t n_rows, int64_t n_terms, const float *a, int64_t a_row, int64_t a_k, const float *b,
                          int64_t b_k, Target t) {
    int64_t whole = n_terms / WIDTH * WIDTH;
    if (a_k == 1 && b_k == 1) {
        for (int64_t row = 0; row < n_rows; row++, a += a_row) {
            vec sums = {0};
            for (int64_t k = 0; k < whole; k += WIDTH) sums += load(a + k) * load(b + k);
            if (whole < n_terms) sums += load_part(a + whole, n_terms - whole) * load_part(b + whole, n_terms - whole);
            finish(t, row, 0, 0, splat(sum_of(sums)));
        }
        return;
    }
    for (int64_t row = 0; row < n_rows; row += WIDTH) {
        int64_t rows = n_rows - row < WIDTH ? n_rows - row : WIDTH;
        vec sums = {0};
        if (rows == WIDTH)
            for (int64_t k = 0; k < n_terms; k++) sums += load(a + k * a_k + row) * b[k * b_k];
        else
            for (int64_t k = 0; k < n_terms; k++) sums += load_part(a + k * a_k + row, rows) * b[k * b_k];
        for (int64_t i = 0; i < rows; i++) finish(t, row + i, 0, 0, splat(sums[i]));
    }
}

static void product(const Operation *o, float *out, const float *a, const float *b, const float *addend) {
    static __thread float packed[PANEL * COLUMNS] __attribute__((aligned(64)));
    int64_t n_rows = o->size[0], n_columns = o->size[1], n_terms = o->size[2];
    int64_t a_row = o->a.stride[0], a_k = o->a.stride[1], b_k = o->b.stride[0], b_column = o->b.stride[1];
    for (int64_t j = 0; j < n_columns; j += COLUMNS) {
        int64_t columns = n_columns - j < COLUMNS ? n_columns - j : COLUMNS;
        Target t = {out + j, addend ? addend + j : 0, o->out.stride[0], o->c.stride[0], columns,
                    (float)o->alpha, (float)o->beta, (float)o->gain, (float)o->offset, o->has_epilogue};
        if (columns == 1 && (a_k != 1 || n_terms <= PANEL * COLUMNS)) {
            const float *column = b + j * b_column;
            if (a_k == 1 && b_k != 1) {
                for (int64_t k = 0; k < n_terms; k++) packed[k] = column[k * b_k];
                single_column(n_rows, n_terms, a, a_row, a_k, packed, 1, t);
            } else {
                single_column(n_rows, n_terms, a, a_row, a_k, column, b_k, t);
            }
            continue;
        }
        for (int64_t k = 0; k < n_terms; k += PANEL) {
            int64_t count = n_terms - k < PANEL ? n_terms - k : PANEL;
            const float *right = b + k * b_k + j * b_column;
            int64_t right_row = b_k;
            int is_whole = columns == COLUMNS || columns == WIDTH;
            if (b_column != 1 || !is_whole || (b_k > 4 * COLUMNS && n_rows > 2 * ROWS)) {
                pack(right, b_k, b_column, count, columns, packed);
                right = packed;
                right_row = COLUMNS;
            }
            Target panel = t;
            panel.has_epilogue = o->has_epilogue && k + count == n_terms;
            if (k) { /* add to the sums of the panels before */
                panel.addend = panel.out;
                panel.addend_row = panel.out_row;
                panel.beta = 1.0f;
            }
            int is_wide = columns > WIDTH;
            if (a_k == 1)
                (is_wide ? two_vectors_strided : one_vector_strided)(n_rows, a + k, a_row, right, right_row, count,
                                                                     panel);
            else
                (is_wide ? two_vectors_dense : one_vector_dense)(n_rows, a + k * a_k, a_k, right, right_row, count,
                                                                 panel);
        }
    }
}
