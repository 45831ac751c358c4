"""`nudge crop`: which region of a camera the policy sees."""
