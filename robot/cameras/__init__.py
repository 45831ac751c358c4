"""The cameras of the real arm: who delivers pictures, how old the newest is, and whether they still look as they did.

From the device inwards: `devices` are LeRobot's own camera classes, `reader` is the thread that keeps one of them open,
`camera_set` is what an arm asks for its frames, `contact_sheet` shows a person what the policy sees, `reference` keeps
how the demonstrations looked and `drift` holds what is seen now against it. LeRobot is imported only when a camera is
opened.
"""

from robot.cameras.camera_set import CameraSet, TimedFrame
from robot.cameras.settings import CameraSettings

__all__ = ["CameraSet", "CameraSettings", "TimedFrame"]
