"""Checks of demonstrations: each finds the episode that deserves it, and nothing in sound ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from demonstrations import CAMERA, Hand, changed, contract, demonstration, seen_as, sound_set
from demos.checks import Checked, Checks, require_sound
from demos.errors import DemosRefused
from demos.findings import Finding, Severity
from demos.settings import CheckSettings
from policy.contract import Contract
from policy.experience import Source, Step

CONTRACT = contract()
JAW = [dimension.name for dimension in CONTRACT.proprioception].index("joint.gripper")
ELBOW = [dimension.name for dimension in CONTRACT.proprioception].index("joint.elbow_flex")

Episode = list[Step]
Deed = Callable[[Episode], Episode]


def check(episodes: list[Episode], within: Contract = CONTRACT, **given: object) -> Checked:
    checks = Checks(within, **given)  # type: ignore[arg-type]  # what a test gives
    for steps in episodes:
        checks.see(steps)
    return checks.finish()


def of_one(steps: Episode) -> list[Finding]:
    """What is found in this episode alone."""
    return Checks(CONTRACT).see(steps)


@pytest.fixture(scope="module")
def sound() -> list[Episode]:
    return sound_set(CONTRACT)


@pytest.fixture
def good(sound: list[Episode]) -> Episode:
    """Of 26 steps; the jaw closes from step 11 on."""
    return sound[5]


def test_nothing_is_found_in_sound_demonstrations(sound: list[Episode]) -> None:
    assert check(sound).findings == ()


def test_a_contract_without_tool_and_jaw_has_less_that_can_be_checked() -> None:
    from policy.fakes import fake_contract, fake_episode

    within = fake_contract(cameras=1, proprioception=3, size_px=16)
    found = check([fake_episode(within, 30, np.random.default_rng(0))], within)
    assert [each.check for each in found.findings] == ["reference"]
    assert found.coverage is None


def mirrored(steps: Episode) -> Episode:
    return [replace(step, action=step.action * np.array([1, -1, 1, 1], np.float32)) for step in steps]


def without_closing(steps: Episode) -> Episode:
    return demonstration(CONTRACT, steps[0].id.episode, Hand(closes=False))


def trembling(steps: Episode) -> Episode:
    return demonstration(CONTRACT, steps[0].id.episode, Hand(shakes=0.9))


def resting(start: int, steps: int) -> Deed:
    return lambda _: demonstration(CONTRACT, 0, Hand(rests=(start, steps)))


def by(source: Source, numbers: range) -> Deed:
    def drive(steps: Episode) -> Episode:
        return [replace(step, source=source) if step.id.step in numbers else step for step in steps]

    return drive


def at_the_end(**changes: object) -> Deed:
    return lambda steps: changed(steps, len(steps) - 1, **changes)


def timed(periods: Callable[[int], float]) -> Deed:
    """At 10 Hz; periods: until each step."""

    def tick(steps: Episode) -> Episode:
        times = np.cumsum([0.0, *(periods(number) for number in range(1, len(steps)))]) * 100_000_000
        return [replace(step, monotonic_ns=int(time)) for step, time in zip(steps, times, strict=True)]

    return tick


def frozen(start: int, pictures: int) -> Deed:
    def freeze(steps: Episode) -> Episode:
        picture = steps[start].observation.frames[CAMERA]
        return [seen_as(step, picture) if start <= step.id.step < start + pictures else step for step in steps]

    return freeze


def lit(share: float, level: int) -> Deed:
    """The upper rows of each picture at one level."""

    def light(steps: Episode) -> Episode:
        pictures = [step.observation.frames[CAMERA].copy() for step in steps]
        for picture in pictures:
            picture[: round(share * len(picture))] = level
        return [seen_as(step, picture) for step, picture in zip(steps, pictures, strict=True)]

    return light


def early_reward(steps: Episode) -> Episode:
    return changed(steps, 7, reward=1.0)


REFUSE, MIND = Severity.REFUSE, Severity.MIND


@pytest.mark.parametrize(
    ("deed", "name", "severity", "step", "told"),
    [
        (mirrored, "contradiction", REFUSE, None, "the actions moved y by"),
        (without_closing, "gripper", REFUSE, None, "closes by 0.00 rad at most"),
        (trembling, "trembling", MIND, None, "turns back in"),
        (resting(0, 12), "idle", MIND, 0, "rests for 1.2 s at the beginning"),
        (resting(8, 22), "idle", MIND, 8, "rests for 2.2 s in between"),
        (by(Source.POLICY, range(4, 7)), "source", REFUSE, 4, "3 of 26 steps not demonstrated, this one by POLICY"),
        (by(Source.HUMAN, range(9, 10)), "source", REFUSE, 9, "this one by HUMAN"),
        (by(Source.HOLD, range(2, 6)), "hold", MIND, 2, "held still in 4 of 26 steps"),
        (at_the_end(reward=0.0), "success", REFUSE, 25, "an end by failure with reward 0"),
        (at_the_end(terminated=False, truncated=True, reward=0.0), "success", REFUSE, 25, "time-out or cut"),
        (early_reward, "reward", REFUSE, 7, "rewards on 1 steps before the last"),
        (at_the_end(rejected=True), "rejected", REFUSE, 25, "marked not to be learned from"),
        (lambda steps: steps[:-1], "complete", REFUSE, 24, "an episode without an end"),
        (timed(lambda number: 3.0 if number == 11 else 1.0), "timing", MIND, 11, "a pause of 3.0 periods"),
        (timed(lambda number: 8.0 if number == 11 else 1.0), "timing", REFUSE, 11, "a pause of 8.0 periods"),
        (timed(lambda number: -1.0 if number == 11 else 1.0), "timing", REFUSE, 11, "goes back"),
        (timed(lambda number: 1.3), "timing", REFUSE, 0, "a median period of 1.30"),
        (timed(lambda number: 1 + 0.3 * (number % 3 - 1)), "timing", MIND, 2, "% of the steps off the beat"),
        (frozen(6, 6), "frozen", REFUSE, 6, f"the same picture of camera '{CAMERA}' in 6 steps"),
        (lit(0.5, 0), "dark", MIND, 0, "50% of the picture"),
        (lit(1.0, 3), "dark", REFUSE, 0, "100% of the picture"),
        (lit(1.0, 255), "bright", REFUSE, 0, "too bright to tell"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_episode_is_told_with_its_place(
    good: Episode, deed: Deed, name: str, severity: Severity, step: int | None, told: str
) -> None:
    assert of_one(good) == []
    steps = deed(good)
    (found,) = (each for each in of_one(steps) if each.check == name)
    assert found.severity is severity
    assert step in (None, found.step)
    assert found.episode == f"{steps[0].id.session[:8]}/{steps[0].id.episode}"
    assert told in found.got
    assert f"{name}: episode abababab/" in str(found)


@pytest.mark.parametrize(
    "deed",
    [
        resting(0, 10),  # 1.0 s
        resting(8, 20),
        by(Source.HOLD, range(2, 4)),
        timed(lambda number: 1 + 0.15 * (-1) ** number),
        timed(lambda number: 1.9 if number == 11 else 1.0),
        frozen(6, 5),
        lambda steps: frozen(9, 12)(resting(9, 15)(steps)),  # the arm stands as well
        lit(0.25, 0),
        lit(0.25, 255),
    ],
)
def test_what_is_just_within_the_limits_is_not_told(good: Episode, deed: Deed) -> None:
    assert of_one(deed(good)) == []


class TestOfAllTogether:
    @pytest.mark.parametrize(("light", "severity"), [(0.82, MIND), (0.6, REFUSE)])
    def test_a_lamp_that_went_out_in_between_is_told_where_it_did(
        self, sound: list[Episode], light: float, severity: Severity
    ) -> None:
        def dimmed(steps: Episode) -> Episode:
            return [seen_as(step, (step.observation.frames[CAMERA] * light).astype(np.uint8)) for step in steps]

        (found,) = check([*sound[:8], *map(dimmed, sound[8:])]).findings
        assert (found.check, found.severity, found.episode) == ("look", severity, "abababab/8")
        assert f"brightness: -{100 - 100 * light:.0f} % (limit 12) in 4 episodes from this one on" in found.got

    def test_a_camera_that_was_pushed_is_told(self, sound: list[Episode]) -> None:
        def pushed(steps: Episode) -> Episode:
            return [seen_as(step, np.roll(step.observation.frames[CAMERA], 3, axis=1)) for step in steps]

        found = check([*map(pushed, sound[:4]), *sound[4:]]).findings
        assert {(each.check, each.severity, each.episode) for each in found} == {("look", REFUSE, "abababab/0")}

    def test_a_joint_that_never_moves_is_refused_unless_it_is_locked(self, sound: list[Episode]) -> None:
        def stuck(steps: Episode) -> Episode:
            made = []
            for step in steps:
                step.observation.proprioception[ELBOW] = 0.3
                made.append(step)
            return made

        copies = [[copied(step) for step in steps] for steps in sound]
        stood = [stuck(steps) for steps in copies]
        for steps in stood:
            assert steps[-1].final is not None
            steps[-1].final.proprioception[ELBOW] = 0.3
        (found,) = check(stood).findings
        assert (found.check, found.severity, found.episode) == ("still", REFUSE, "")
        assert "joint.elbow_flex between 0.3000 and 0.3000 rad in all episodes" in found.got
        assert check(stood, locked_joints=("elbow_flex",)).findings == ()

    @pytest.mark.parametrize(("times", "severity"), [(10, MIND), (57.3, REFUSE)])
    def test_a_joint_in_another_unit_is_told(self, sound: list[Episode], times: float, severity: Severity) -> None:
        steps = [copied(step) for step in sound[0]]
        steps[3].observation.proprioception[ELBOW] = times * 0.5  # 0.5 rad in its range of -1.6..1.0
        (found,) = check([steps, *sound[1:]]).findings
        assert (found.check, found.severity, found.episode, found.step) == ("range", severity, "abababab/0", 3)

    def test_a_direction_that_was_never_used_is_told(self, sound: list[Episode]) -> None:
        to_the_left = [steps for steps in sound if steps[0].observation.sim_only[1] > 0]
        found = check(to_the_left).findings
        assert {each.got for each in found if each.check == "unused"} == {"no action below -0.1 of delta.y"}

    def test_an_episode_of_another_length_is_told(self, sound: list[Episode]) -> None:
        slow = demonstration(CONTRACT, 12, Hand(speed=0.11))
        (found,) = check([*sound, slow]).findings
        assert (found.check, found.severity, found.episode) == ("length", MIND, "abababab/12")
        assert found.got == f"{len(slow)} steps"

    def test_too_few_pictures_for_a_reference_are_told(self, sound: list[Episode]) -> None:
        assert "reference" in {each.check for each in check(sound[:2]).findings}
        assert "reference" not in {each.check for each in check(sound[:4]).findings}

    def test_no_demonstration_at_all_is_refused(self) -> None:
        with pytest.raises(DemosRefused, match="got no episode"):
            check([])


class TestCoverage:
    @pytest.mark.parametrize("witnessed", [True, False])
    def test_the_next_one_is_worth_most_in_the_emptiest_cell(self, witnessed: bool) -> None:
        within = contract(size_px=16, witnessed=witnessed)
        episodes = [steps for steps in sound_set(within) if steps[0].id.episode != 6]  # row 1, column 2
        checked = check(episodes, within)
        (found,) = (each for each in checked.findings if each.check == "coverage")
        assert checked.coverage is not None
        assert checked.coverage.told_by == ("the cube" if witnessed else "the tool where the jaw closed")
        assert checked.coverage.counts == ((1, 1, 1, 1), (1, 1, 0, 1), (1, 1, 1, 1))
        assert found.cure == "the next one is worth most at x 0.250, y 0.020 m"

    def test_of_several_empty_cells_it_is_the_one_far_from_all(self) -> None:
        within = contract(size_px=16)
        checked = check([demonstration(within, 0, Hand((0.21, -0.07)))], within)
        assert checked.coverage is not None
        assert checked.coverage.next_m == pytest.approx((0.2833, 0.06), abs=1e-3)
        assert checked.coverage.empty == 11
        assert checked.coverage.began_m[0] == pytest.approx((0.25, 0.0, 0.10))

    def test_what_lies_beyond_the_field_is_counted(self) -> None:
        within = contract(size_px=16)
        checked = check([demonstration(within, 0, Hand((0.33, 0.0)))], within)
        assert checked.coverage is not None
        assert (checked.coverage.outside, checked.coverage.empty) == (1, 12)


class TestRefusal:
    def test_what_is_allowed_by_its_name_or_by_its_check_passes(self, sound: list[Episode]) -> None:
        failed = [at_the_end(reward=0.0)(sound[0]), at_the_end(reward=0.0)(sound[1]), *sound[2:]]
        checked = check(failed)
        with pytest.raises(DemosRefused, match=r"got 2 findings .*\n  success: episode abababab/0, step 2"):
            require_sound(checked)
        with pytest.raises(DemosRefused, match=r"got 1 findings .*\n  success: episode abababab/1"):
            require_sound(checked, ["success:abababab/0"])
        require_sound(checked, ["success"])
        require_sound(checked, ["success:abababab/0", "success:abababab/1"])

    def test_a_name_that_fits_nothing_is_refused(self, sound: list[Episode]) -> None:
        with pytest.raises(DemosRefused, match="got sucess, expected names of what was found: there is nothing"):
            require_sound(check(sound), ["sucess"])

    def test_what_is_only_to_be_minded_refuses_nothing(self, sound: list[Episode]) -> None:
        require_sound(check(sound[:2]))


def test_the_limits_are_settings(sound: list[Episode]) -> None:
    strict = CheckSettings.model_validate({"motion": {"closing_rad": 2.0}})
    assert len(check(sound, settings=strict).refused) == len(sound)


def copied(step: Step) -> Step:
    """A step whose proprioception may be changed."""
    seen = replace(step.observation, proprioception=step.observation.proprioception.copy())
    final = step.final and replace(step.final, proprioception=step.final.proprioception.copy())
    return replace(step, observation=seen, final=final)
