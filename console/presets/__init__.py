"""Settings from presets and the command line: read, merged, checked, edited."""
