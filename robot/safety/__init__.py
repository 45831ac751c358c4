"""The one place between any source of actions and the servos: what it changes it counts, what it doubts it stops."""
