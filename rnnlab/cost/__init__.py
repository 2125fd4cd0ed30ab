"""What runs cost on this machine: measured, estimated, and remembered from earlier runs."""
