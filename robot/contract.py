"""The contract of every SO-101: proprioception and action are the same on the real, simulated and virtual arm."""

from __future__ import annotations

from policy.contract import ActionDimension, Camera, Contract, Dimension
from robot.arm import JOINT_NAMES
from robot.task import CUBE_STATE

# Ranges that map to [-1, 1]: what an arm inside its box visits, not the mechanical limits.
_JOINT_RANGES_RAD = ((-0.9, 0.9), (-1.2, 1.4), (-1.6, 1.0), (0.6, 1.658), (-0.5, 0.5), (-0.175, 1.1))
_TOOL_RANGES_M = (("tool.x", 0.14, 0.36), ("tool.y", -0.14, 0.14), ("tool.z", 0.0, 0.20))


def so101_contract(cameras: tuple[Camera, ...], sim_only: tuple[Dimension, ...], control_hz: float) -> Contract:
    """Joints, tool position, how far the targets lead the measured pose; actions are tool deltas and a jaw delta.

    The lead of a target over its joint is what a position-controlled arm feels: it grows where the arm meets a table
    or the jaw meets a cube.
    """
    joints = tuple(
        Dimension(name=f"joint.{name}", unit="rad", low=low, high=high)
        for name, (low, high) in zip(JOINT_NAMES, _JOINT_RANGES_RAD, strict=True)
    )
    tool = tuple(Dimension(name=name, unit="m", low=low, high=high) for name, low, high in _TOOL_RANGES_M)
    lead = tuple(Dimension(name=f"lead.{axis}", unit="m", low=-0.035, high=0.035) for axis in "xyz")
    jaw_lead = Dimension(name="lead.gripper", unit="rad", low=-0.6, high=0.6)
    return Contract(
        cameras=cameras,
        proprioception=(*joints, *tool, *lead, jaw_lead),
        action=(
            *(ActionDimension(name=f"delta.{axis}", unit="m", scale=0.02) for axis in "xyz"),
            ActionDimension(name="delta.gripper", unit="rad", scale=0.4),
        ),
        sim_only=sim_only,
        control_hz=control_hz,
    )


def with_action_scale(contract: Contract, scaled: Contract) -> Contract:
    """The first one, with what 1 means as the second one has it, of each action dimension that both know."""
    scales = {dimension.name: dimension.scale for dimension in scaled.action}
    action = (it.model_copy(update={"scale": scales.get(it.name, it.scale)}) for it in contract.action)
    return contract.model_copy(update={"action": tuple(action)})


def real_contract(contract: Contract, *, witnessed: bool) -> Contract:
    """The contract of a real arm with the cameras and at the rate of another one.

    witnessed: a virtual station tells where the cube is; nobody does on a real desk
    """
    return so101_contract(contract.cameras, cube_dimensions() if witnessed else (), contract.control_hz)


def cube_dimensions() -> tuple[Dimension, ...]:
    """What only a simulator knows: `CUBE_STATE`."""
    position = tuple(Dimension(name=name, unit="m", low=-0.5, high=0.5) for name in CUBE_STATE[:3])
    yaw = Dimension(name=CUBE_STATE[3], unit="rad", low=-3.1416, high=3.1416)
    return (*position, yaw, Dimension(name=CUBE_STATE[4], unit="1", low=0, high=1))
