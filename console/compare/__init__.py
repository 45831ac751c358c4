"""`nudge compare`: two runs or checkpoints side by side."""
