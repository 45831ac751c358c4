"""The Gymnasium environment, on the simulated arm."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from policy.contract import Camera, Contract, Crop
from policy.errors import ContractMismatch
from robot.env import ArmEnv, make_env
from robot.errors import ArmError, SceneError
from robot.settings import ArmSettings, RandomisationSettings, TaskSettings
from robot.sim import SimArm, sim_contract
from robot.task import CubePose, Start

START = Start(CubePose(0.25, 0.02, 0.3), np.array([0.25, 0.0, 0.10]))
STILL = np.zeros(4, np.float32)
TOOL_Y = [dimension.name for dimension in sim_contract().proprioception].index("tool.y")


@pytest.mark.filterwarnings("error::UserWarning")
def test_it_passes_gymnasiums_own_check(env: ArmEnv) -> None:
    check_env(env, skip_render_check=True)


def test_the_same_seed_gives_the_same_episode_to_the_last_bit(env: ArmEnv) -> None:
    def episode() -> list[NDArray[Any]]:
        generator = np.random.default_rng(3)
        observation, _ = env.reset(seed=7)
        seen = [observation["wrist"], observation["proprioception"]]
        for _ in range(5):
            observation, *_ = env.step(generator.uniform(-1, 1, 4).astype(np.float32))
            seen += [observation["front"], observation["proprioception"]]
        return seen

    for first, second in zip(episode(), episode(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_time_out_truncates_and_does_not_terminate() -> None:
    short = make_env(sim_contract(), ArmSettings(), TaskSettings(max_episode_steps=3), seed=0)
    short.reset(options={"start": START})
    flags = [short.step(STILL)[1:4] for _ in range(3)]
    short.close()
    assert flags == [(0.0, False, False), (0.0, False, False), (0.0, False, True)]


def test_both_cameras_see_the_cube(env: ArmEnv) -> None:
    observation, _ = env.reset(options={"start": START})
    for camera in ("wrist", "front"):
        red = observation[camera].astype(int)
        cube = (red[..., 0] > 120) & (red[..., 1] < 90) & (red[..., 2] < 90)
        # A 27 mm cube at 10 to 30 cm fills one to ten per cent of 128 x 128 = 16,384 pixels.
        assert 100 < cube.sum() < 1700, camera


def test_the_arm_goes_where_the_action_says(env: ArmEnv) -> None:
    before, _ = env.reset(options={"start": START})
    for _ in range(3):
        after, *_ = env.step(np.array([0, -1, 0, 0], np.float32))
    moved_m = after["proprioception"][6:9] - before["proprioception"][6:9]
    assert moved_m == pytest.approx([0, -0.06, 0], abs=0.004)


def test_it_tells_what_the_guard_took_from_an_action(env: ArmEnv) -> None:
    env.reset(options={"start": START})
    for _ in range(12):
        *_, info = env.step(np.array([0, 0, -1, 0], np.float32))
    assert info["clipped"] == (True, False)  # the tool at the floor of the box, all joints free
    *_, info = env.step(np.array([0, 0, 1, 0], np.float32))
    assert info["clipped"] == (False, False)


def test_proprioception_stays_within_the_normalised_range(env: ArmEnv) -> None:
    low = np.array([dimension.low for dimension in sim_contract().proprioception])
    high = np.array([dimension.high for dimension in sim_contract().proprioception])
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(60):
        observation, _, _, truncated, _ = env.step(generator.uniform(-1, 1, 4).astype(np.float32))
        normalised = 2 * (observation["proprioception"] - low) / (high - low) - 1
        assert np.abs(normalised).max() < 2.0
        if truncated:
            break


def test_stepping_before_reset_is_refused() -> None:
    fresh = make_env(sim_contract(), ArmSettings(), TaskSettings(), seed=0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        fresh.step(STILL)
    fresh.close()


def test_another_contract_is_refused_with_the_difference() -> None:
    other = sim_contract().model_copy(update={"action": sim_contract().action[:2]})
    with pytest.raises(ContractMismatch, match=r"action\.order.*delta\.z"):
        make_env(other, ArmSettings(), TaskSettings(), seed=0)


def test_frames_are_rendered_at_the_native_size_of_their_camera_and_cut_and_scaled_as_the_contract_says() -> None:
    crop = Crop(top=0, left=40, height=240, width=240)
    wide = Camera(name="front", native_height_px=240, native_width_px=320, crop=crop, size_px=192)
    made = make_env(sim_contract().model_copy(update={"cameras": (wide,)}), ArmSettings(), TaskSettings(), seed=0)
    assert isinstance(made.arm, SimArm)
    observation, _ = made.reset(options={"start": START})
    assert {name: frame.shape for name, frame in made.arm.read().frames.items()} == {"front": (240, 320, 3)}
    assert observation["front"].shape == (192, 192, 3)
    made.close()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": "gripper"}, r"cameras\.0\.name: got gripper, but the simulated desk has wrist and front"),
        ({"native_width_px": 1280}, r"128 rows and 1280 columns, but the simulated desk renders 640 of each at most"),
    ],
)
def test_a_camera_that_the_scene_cannot_be_seen_through_is_refused(changed: dict[str, Any], told: str) -> None:
    camera = sim_contract().cameras[0].model_copy(update=changed)
    with pytest.raises(SceneError, match=told):
        make_env(sim_contract().model_copy(update={"cameras": (camera,)}), ArmSettings(), TaskSettings(), seed=0)


def test_an_action_moves_the_tool_by_the_scale_of_the_contract() -> None:
    def moved_m(scale_m: float) -> float:
        made = make_env(scaled(scale_m), ArmSettings(), TaskSettings(), seed=0)
        before, _ = made.reset(options={"start": START})
        for _ in range(3):
            after, *_ = made.step(np.array([0, 0.5, 0, 0], np.float32))
        made.close()
        return float((after["proprioception"] - before["proprioception"])[TOOL_Y])

    assert moved_m(0.01) / moved_m(0.02) == pytest.approx(0.5, abs=0.1)


def test_a_scale_that_the_leash_would_always_cut_is_refused() -> None:
    with pytest.raises(ArmError, match=r"a full action is 0\.2 m, farther than .*\.leash_m, 0\.035 m"):
        make_env(scaled(0.2), ArmSettings(), TaskSettings(), seed=0)


def scaled(scale_m: float) -> Contract:
    *across, jaw = sim_contract().action
    action = tuple(it.model_copy(update={"scale": scale_m}) for it in across)
    return sim_contract().model_copy(update={"action": (*action, jaw)})


def test_randomisation_changes_the_looks_and_only_when_enabled() -> None:
    def two_frames(enabled: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        arm = ArmSettings(randomisation=RandomisationSettings(enabled=enabled))
        made = make_env(sim_contract(), arm, TaskSettings(), seed=0)
        frames = [made.reset(options={"start": START})[0]["front"] for _ in range(2)]
        made.close()
        return frames[0], frames[1]

    plain, again = two_frames(enabled=False)
    np.testing.assert_array_equal(plain, again)
    one, other = two_frames(enabled=True)
    assert np.abs(one.astype(int) - other).mean() > 2


def test_a_cube_of_another_size_lies_on_the_table() -> None:
    arm = ArmSettings(randomisation=RandomisationSettings(enabled=True, cube_size=0.3))
    made = make_env(sim_contract(), arm, TaskSettings(), seed=0)
    halves_m = []
    for _ in range(4):
        made.reset(options={"start": START})
        for _ in range(3):
            _, _, _, _, info = made.step(STILL)
        assert isinstance(made.arm, SimArm)
        halves_m.append(made.arm.model.geom("cube").size[2])
        assert info["sim_only"][2] == pytest.approx(halves_m[-1], abs=2e-4)
    made.close()
    assert max(halves_m) - min(halves_m) > 0.002
    assert min(halves_m) > 0.7 * 0.0135


def test_the_compiled_contacts_are_stiff_and_neighbouring_links_do_not_touch(env: ArmEnv) -> None:
    arm = env.arm
    assert isinstance(arm, SimArm)
    env.reset(options={"start": START})
    for name in ("cube", "table", "fixed_jaw_box6", "moving_jaw_box3"):
        assert arm.model.geom_solref[arm.model.geom(name).id] == pytest.approx([0.01, 1.0]), name
    bodies = {arm.model.body(int(arm.model.geom_bodyid[geom])).name for pair in arm.data.contact.geom for geom in pair}
    assert bodies <= {"cube", "world"}
