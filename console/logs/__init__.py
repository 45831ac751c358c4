"""The rotated JSON logs of learner and actor."""
