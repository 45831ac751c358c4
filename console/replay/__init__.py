"""`nudge replay`: an episode in the browser, as a table, for Rerun, or on an arm."""
