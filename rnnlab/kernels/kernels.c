/* Runs a program: for each model by itself, its operations in order. So a model's bits cannot depend on its neighbours
   or on the threads, and what a model needs stays in the cache from one operation to the next. */

#include "elementwise.h"
#include "product.h"
#include "rows.h"
#include "updates.h"

/* The numbers of the operations; rnnlab/kernels/operations.py has the same list, and a test compares them. */
enum {
    PRODUCT, COPY, ADD, MUL, ADDCMUL, LERP, AFFINE, EXP, RECIPROCAL, LOGISTIC, CLAMP_MIN,
    SIGMOID_BACKWARD, TANH_BACKWARD, THRESHOLD_BACKWARD, FILL, SUM, TOTAL, MAXIMUM, SOFTMAX, LOG, LOOK_UP,
    ADD_ROWS, PICK, ADD_TO_PICKED, ADD_SQUARES, CLIP, SGD, ADAM
};

INLINE void *of_model(const View *v, int64_t row) { return v->start ? (char *)v->start + row * v->model_bytes : 0; }

/* `settings` are those of all models. */
void rnnlab_run(const Operation *operations, int64_t n, int64_t first_model, int64_t end_model,
                const Settings *settings) {
    for (int64_t m = first_model; m < end_model; m++)
        for (const Operation *o = operations; o < operations + n; o++) {
            int64_t row = m - o->first;
            if (row < 0 || row >= o->models) continue;
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
            case TOTAL: op_total(o, out, a, b, c); break;
            case MAXIMUM: op_maximum(o, out, a, b, c); break;
            case SOFTMAX: op_softmax(o, out, a, b, c); break;
            case LOG: op_log(o, out, a, b, c); break;
            case LOOK_UP: op_look_up(o, out, a, b, c); break;
            case ADD_ROWS: op_add_rows(o, out, a, b, c); break;
            case PICK: op_pick(o, out, a, b, c); break;
            case ADD_TO_PICKED: op_add_to_picked(o, out, a, b, c); break;
            case ADD_SQUARES: op_add_squares(o, out, a, b, c); break;
            case CLIP: clip(o, out, a, settings + m); break;
            case SGD: sgd(o, out, a, settings + m); break;
            case ADAM: adam(o, out, a, b, c, settings + m); break;
            }
        }
}
