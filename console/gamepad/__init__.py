"""`nudge gamepad`: what a gamepad says, and a map of an odd one."""
