"""`nudge report`: report.json and report.html of a run, and what of a run they are made of."""
