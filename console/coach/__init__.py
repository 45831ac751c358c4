"""What a run says of how it is taught: evidence from its data, rules upon that, and advice in words.

`gather` reads, `rules` judges and is pure, `main` is `nudge coach`; the report and the dashboard ask the same two.
"""
