"""`nudge store`: look into an experience store, check it, copy it, prune it."""
