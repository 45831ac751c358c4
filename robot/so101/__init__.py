"""The real SO-101: LeRobot's Feetech bus, its calibration, and the arm above them.

From the wire inwards: `port` is the serial port, `registers` what servos say of themselves, `bus` reads and writes all
six of them at once, `calibration` turns their ticks into radians of the model and back, `lint` doubts a calibration
before it moves anything, `torque` stiffens the arm where it stands and lets it go, `arm` is the `Arm`, and `onlooker`
looks at one without touching it.
Ticks, and LeRobot's degrees, do not leave this package. LeRobot is imported only when an arm is opened.
"""
