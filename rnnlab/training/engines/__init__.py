"""What computes the training steps of a cohort: the native kernels on a CPU, or torch, on a GPU in CUDA graphs."""
