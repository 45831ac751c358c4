"""Gamepads: through SDL where it knows them, through their HID reports where it does not."""
