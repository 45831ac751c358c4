"""A run's curves at wandb or trackio, for whom settings ask: a process of its own reads the run folder and sends.

`settings` say where to; `tail` reads what is new in a run, `sent` remembers how far that went, `sink` and its two
implementations know the services, `follower` puts them together, `child` starts one beside a learner. Nothing here is
ever called by what trains: a service that hangs, refuses or is gone costs the learner nothing.
"""
