"""`nudge classifier`: train a reward classifier, look at its report, watch it judge, accept another one."""
