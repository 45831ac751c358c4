"""Demonstrations: look at them, check them, exchange them with others.

Nothing here learns, and nothing here moves an arm: rooms above call it with the path of an experience file.
"""
