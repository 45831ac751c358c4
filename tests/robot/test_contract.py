"""The contract that ships, the arm that keeps it, and the page that explains it are one."""

from __future__ import annotations

from pathlib import Path

from console.presets.file import preset_names
from console.presets.load import load_preset
from console.settings import Settings
from robot.contract import real_contract
from robot.sim import sim_contract

PAGE = Path(__file__).parents[2] / "docs" / "observations.md"


def test_every_preset_that_can_run_has_the_contract_of_its_arm() -> None:
    assert {"fast", "paper", "real"} <= set(preset_names())
    for name in preset_names():
        settings = load_preset(Settings, name)
        ours = sim_contract()
        if settings.arm.kind == "so101":
            ours = real_contract(settings.contract, witnessed=settings.arm.so101.witness is not None)
        ours.require_equal(settings.contract, "the arm", name)


def test_the_page_of_observations_names_every_key_with_unit_and_range() -> None:
    page = PAGE.read_text()
    contract = sim_contract()
    for camera in contract.cameras:
        assert f"| `{camera.name}` | uint8 RGB {camera.size_px}×{camera.size_px}×3 |" in page
    for dimension in contract.proprioception:
        assert f"| `{dimension.name}` | {dimension.unit} | {dimension.low} .. {dimension.high} |" in page
    for action in contract.action:
        assert f"| `{action.name}` | {action.unit} | {action.scale} |" in page
    for truth in contract.sim_only:
        assert f"| `{truth.name}` | {truth.unit} |" in page
