"""`nudge eval`: a policy alone on the grid of cube positions, judged by another one than who paid it."""
