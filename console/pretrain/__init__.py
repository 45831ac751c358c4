"""`nudge pretrain`: the encoder, on randomised simulated frames."""
