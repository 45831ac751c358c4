"""Says from frames when the task is done: labels, data sets, the model, its training and threshold, the live judge.

Nothing here drives an arm or learns to: the actor asks the judge, and a person decides which one it may ask.
"""
