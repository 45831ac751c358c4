"""`nudge doctor`: will this station work? Each check by itself, and what to do."""
