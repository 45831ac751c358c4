"""`nudge demos`: demo sets, made, listed and checked."""
