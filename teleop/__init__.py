"""Who may take over from the policy: the takeover rule and the operators.

Scripted today; leader arm, gamepad and keyboard follow.

Nothing here talks to a learner or touches a servo.
"""
