"""Settings of the cameras: which device delivers which camera of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from policy.contract import Frozen

STABLE_NAMES = Path("/dev/v4l/by-id")


class DeviceSettings(Frozen):
    """What every kind of camera has; its native size stands in the contract."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name of the camera in the contract.")
    noisy: bool = Field(
        default=True,
        description="No two pictures of a sensor are alike, so one that equals the last is no news; "
        "false for drawn ones.",
    )


class OpenCVSettings(DeviceSettings):
    """A USB camera, or a video file."""

    kind: Literal["opencv"] = Field(default="opencv", description="A camera that Video4Linux knows.")
    device: Path = Field(description="Path below /dev/v4l/by-id, which stays the same after a reboot; or a video file.")
    fps: int = Field(default=30, gt=0, description="Pictures a second [Hz].")
    fourcc: str = Field(
        default="MJPG", pattern=r"^[A-Z0-9]{4}$", description="Form of the pictures on the cable; USB 2 needs MJPG."
    )
    exposure_100us: int | None = Field(
        default=None, gt=0, description="Exposure is locked at this value [0.1 ms]; none leaves it to the camera."
    )
    gain: int | None = Field(
        default=None, ge=0, description="Gain is locked at this value, in the camera's own unit; none leaves it."
    )
    white_balance_k: int | None = Field(
        default=None, gt=0, description="White balance is locked at this temperature [K]; none leaves it to the camera."
    )
    focus: int | None = Field(
        default=None, ge=0, description="Focus is locked at this value, in the camera's own unit; none leaves it."
    )

    @field_validator("device", mode="before")
    @classmethod
    def _device_is_no_index(cls, given: Any) -> Any:
        if isinstance(given, int) or (isinstance(given, str) and given.isdigit()):
            raise ValueError(
                f"an index changes when cables or boots do, expected a path below {STABLE_NAMES}; "
                f"there {_listed(stable_paths())}"
            )
        return given


class NetworkSettings(DeviceSettings):
    """A camera that LeRobot's image server, or `nudge virtual`, publishes over ZMQ."""

    kind: Literal["zmq"] = Field(default="zmq", description="LeRobot's network camera.")
    server_address: str = Field(default="127.0.0.1", min_length=1, description="Host that publishes the pictures.")
    port: int = Field(default=5555, gt=0, le=65535, description="TCP port that it publishes them at.")
    camera_name: str = Field(default="", description="The camera's name in the messages; empty is its name here.")


class RealSenseSettings(DeviceSettings):
    """The colour sensor of an Intel RealSense; needs LeRobot's extra `intelrealsense`."""

    kind: Literal["realsense"] = Field(default="realsense", description="An Intel RealSense.")
    serial_number: str = Field(
        pattern=r"^\d+$", description="Serial number, as `lerobot-find-cameras realsense` tells."
    )
    fps: int = Field(default=30, gt=0, description="Pictures a second [Hz].")
    exposure_us: int | None = Field(
        default=None, gt=0, description="Exposure is locked at this value [µs]; none leaves it to the camera."
    )
    gain: int | None = Field(
        default=None, ge=0, description="Gain is locked at this value, in the camera's own unit; none leaves it."
    )
    white_balance_k: int | None = Field(
        default=None, gt=0, description="White balance is locked at this temperature [K]; none leaves it to the camera."
    )


AnyDevice = Annotated[OpenCVSettings | NetworkSettings | RealSenseSettings, Field(discriminator="kind")]


class CameraSettings(Frozen):
    """The cameras of an arm, and when a silent one is opened anew."""

    devices: tuple[AnyDevice, ...] = Field(default=(), description="One device for each camera of the contract.")
    first_frame_s: float = Field(
        default=10.0, gt=0, description="Longest that the first picture of each may take at the start [s]."
    )
    silent_s: float = Field(
        default=2.0, gt=0, description="A camera that shows nothing new for so long is closed and opened anew [s]."
    )
    backoff_first_s: float = Field(default=0.2, gt=0, description="Pause after the first attempt to reopen [s].")
    backoff_max_s: float = Field(default=3.0, gt=0, description="Longest pause between two attempts; they double [s].")
    close_s: float = Field(default=5.0, gt=0, description="Longest that closing all cameras may take [s].")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [device.name for device in self.devices]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"devices: each camera may stand once, got {twice} more than once")
        return self


class DriftSettings(Frozen):
    """From where on a difference from the demonstrations is told.

    Each limit grows to `margin` times what the demonstrations differ among themselves, where that is more.
    """

    brightness: float = Field(default=0.12, gt=0, description="Change of the light, as a share.")
    colour: float = Field(default=0.06, gt=0, description="Change of the tint, as a share.")
    contrast: float = Field(default=0.20, gt=0, description="Change of the contrast, as a share.")
    shift_px: float = Field(default=1.2, gt=0, description="Shift of the policy's picture [px].")
    turn_deg: float = Field(default=1.2, gt=0, description="Turn of the policy's picture [deg].")
    likeness: float = Field(default=0.6, gt=0, lt=1, description="Least correlation of the edges.")
    margin: float = Field(default=1.5, ge=1, description="How far beyond the demonstrations' own spread.")
    severe: float = Field(default=2.0, ge=1, description="A difference of so many times its limit is severe.")


def stable_paths() -> list[str]:
    """Paths of the cameras that stay the same after a reboot, sorted."""
    return sorted(map(str, STABLE_NAMES.glob("*"))) if STABLE_NAMES.is_dir() else []


def _listed(paths: list[str]) -> str:
    return f"are {', '.join(paths)}" if paths else "is none: is the camera plugged in?"
