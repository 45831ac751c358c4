"""The keyboard: heard only while the terminal that Nudge runs in has the focus."""
