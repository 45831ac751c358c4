"""What the operator types and sees: the `nudge` command, the demo, evaluation and reports."""
