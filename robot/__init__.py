"""The arms, their kinematics and safety, and the Gymnasium environment above them.

Nothing here knows of policies, operators or learners; `policy.contract` is the only import from another room.
"""
