"""The smallest contract that has all there is, for tests of the link and of the store."""

from __future__ import annotations

from policy.contract import ActionDimension, Camera, Contract, Crop, Dimension

SIZE = 8
CAMERA = Camera(
    name="wrist",
    native_height_px=SIZE,
    native_width_px=SIZE,
    crop=Crop(top=0, left=0, height=SIZE, width=SIZE),
    size_px=SIZE,
)
CONTRACT = Contract(
    cameras=(CAMERA,),
    proprioception=(Dimension(name="pan", unit="rad", low=-2, high=2),),
    action=(ActionDimension(name="x", unit="m", scale=0.02),),
    control_hz=10,
)
