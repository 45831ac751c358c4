"""What learner and actor tell in a terminal."""
