"""From the job table to files that other tools read: CSV, JSON, Parquet, Optuna, TensorBoard. Never writes to it."""
