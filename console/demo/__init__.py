"""`nudge demo`: a whole run of the simulated arm, from an empty folder to its report."""
