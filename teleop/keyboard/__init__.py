"""The keyboard: heard only while the terminal that Nudge runs in, or a page in a browser, has the focus."""
