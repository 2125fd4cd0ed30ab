/* Runs a program model by model: all steps of a block for one model, then for the next one. So a model's bits cannot
   depend on its neighbors or on the threads, and its numbers stay in the cache between operations and steps. */

#include "elementwise.h"
#include "product.h"
#include "rows.h"
#include "updates.h"

/* The codes of the operations. rnnlab/kernels/operations.py has the same list; a test compares them. */
enum {
    PRODUCT, COPY, ADD, MUL, ADDCMUL, LERP, AFFINE, EXP, RECIPROCAL, LOGISTIC, CLAMP_MIN,
    SIGMOID_BACKWARD, TANH_BACKWARD, THRESHOLD_BACKWARD, FILL, SUM, SUM_ALL, MAXIMUM, SOFTMAX, LOG, INDEX_SELECT,
    INDEX_ADD, GATHER, SCATTER_ADD, ADD_SQUARES, CLIP, SGD, ADAM
};

INLINE void *of_model(const View *v, int64_t row) {
    return v->start ? (char *)v->start + row * v->model_stride_bytes : 0;
}

static void run_model(const Operation *operations, int64_t n, int64_t m, const Settings *settings) {
    for (const Operation *o = operations; o < operations + n; o++) {
        int64_t row = m - o->first_model;
        if (row < 0 || row >= o->n_models) continue;
        float *out = of_model(&o->out, row), *a = of_model(&o->a, row);
        float *b = of_model(&o->b, row), *c = of_model(&o->c, row);
        switch (o->code) {
        case PRODUCT: product(o, out, a, b, c); break;
        case COPY: op_copy(o, out, a, b, c); break;
        case ADD: op_add(o, out, a, b, c); break;
        case MUL: op_mul(o, out, a, b, c); break;
        case ADDCMUL: op_addcmul(o, out, a, b, c); break;
        case LERP: op_lerp(o, out, a, b, c); break;
        case AFFINE: op_affine(o, out, a, b, c); break;
        case EXP: op_exp(o, out, a, b, c); break;
        case RECIPROCAL: op_reciprocal(o, out, a, b, c); break;
        case LOGISTIC: op_logistic(o, out, a, b, c); break;
        case CLAMP_MIN: op_clamp_min(o, out, a, b, c); break;
        case SIGMOID_BACKWARD: op_sigmoid_backward(o, out, a, b, c); break;
        case TANH_BACKWARD: op_tanh_backward(o, out, a, b, c); break;
        case THRESHOLD_BACKWARD: op_threshold_backward(o, out, a, b, c); break;
        case FILL: op_fill(o, out, a, b, c); break;
        case SUM: op_sum(o, out, a, b, c); break;
        case SUM_ALL: op_sum_all(o, out, a, b, c); break;
        case MAXIMUM: op_maximum(o, out, a, b, c); break;
        case SOFTMAX: op_softmax(o, out, a, b, c); break;
        case LOG: op_log(o, out, a, b, c); break;
        case INDEX_SELECT: op_index_select(o, out, a, b, c); break;
        case INDEX_ADD: op_index_add(o, out, a, b, c); break;
        case GATHER: op_gather(o, out, a, b, c); break;
        case SCATTER_ADD: op_scatter_add(o, out, a, b, c); break;
        case ADD_SQUARES: op_add_squares(o, out, a, b, c); break;
        case CLIP: clip(o, out, a, settings); break;
        case SGD: sgd(o, out, a, settings); break;
        case ADAM: adam(o, out, a, b, c, settings); break;
        }
    }
}

/* An input or output that changes from step to step: `bytes` contiguous bytes of each model in a buffer, and in a table
   of all steps and models. */
typedef struct {
    char *buffer, *table;
    int64_t bytes;
} Exchange;

typedef struct {
    int64_t models, steps;    /* of the tables */
    const Settings *settings; /* [steps, models] */
    const Exchange *inputs, *outputs;
    int64_t n_inputs, n_outputs;
} Block;

/* All steps of a block, for the models `first_model` to `end_model` - 1. */
void rnnlab_run(const Operation *operations, int64_t n, int64_t first_model, int64_t end_model, const Block *block) {
    for (int64_t m = first_model; m < end_model; m++)
        for (int64_t k = 0; k < block->steps; k++) {
            int64_t entry = k * block->models + m;
            for (const Exchange *e = block->inputs; e < block->inputs + block->n_inputs; e++)
                memcpy(e->buffer + m * e->bytes, e->table + entry * e->bytes, (size_t)e->bytes);
            run_model(operations, n, m, block->settings + entry);
            for (const Exchange *e = block->outputs; e < block->outputs + block->n_outputs; e++)
                memcpy(e->table + entry * e->bytes, e->buffer + m * e->bytes, (size_t)e->bytes);
        }
}
