"""What the operator sees of a run, in the browser: a process of its own reads the run folder, and changes nothing.

`settings` and `access` say who may look; `run_state` puts together what is read (`metrics_tail`, `learner.store_watch`,
`learner_look`); `parts` makes HTML of it, `hub` keeps that for all who look, `server` hands out pages and what changed.
"""
