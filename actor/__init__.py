"""The process on the robot host: control loop, inference, spool, and the link to the learner.

Nothing here learns.
"""
