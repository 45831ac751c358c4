"""The coach on made-up runs: silent on a good one, and one advice for each that deserves it."""

from __future__ import annotations

from typing import Any

import pytest

from console.coach.advice import Advice, Curve, FieldMap, Histogram, Severity
from console.coach.catalogue import RULES
from console.coach.evidence import (
    CameraDrift,
    CheckpointResult,
    EpisodeEvidence,
    JudgeAgreement,
    RunEvidence,
    TakeoverEvidence,
    WeightsUse,
)
from console.coach.rules import JUDGES, advise
from console.coach.settings import CoachSettings
from console.report.data import Evaluation, Grid, MetricsRecord, Trial
from learner.clipping import ClipShares
from learner.health import FLAG
from teleop.settings import OperatorSettings

FIELD = Grid(rows=5, columns=5, x_low_m=0.20, x_high_m=0.30, y_low_m=-0.08, y_high_m=0.08)
DEMOS, LED, EPISODES = 20, 120, 100


def demo(steps: int = 30) -> EpisodeEvidence:
    return EpisodeEvidence(kind="demo", steps=steps, success=True)


def episode(index: int, steps: int = 40, human_steps: int = 0, *, success: bool = True) -> EpisodeEvidence:
    """One with the cube in the next cell of the field, and the tool above it in the end."""
    place = FIELD.centre_m(index % 5, index // 5 % 5)
    return EpisodeEvidence(
        kind="online", steps=steps, human_steps=human_steps, success=success, cube_m=place, end_m=place
    )


def led_episodes() -> list[EpisodeEvidence]:
    """The first of training, ever fewer of them led to their end, from the seventh step on."""
    return [episode(index, 26, 20 if 37 * index % LED >= index else 0) for index in range(LED)]


def good_episodes() -> list[EpisodeEvidence]:
    """Twenty brisk demonstrations, episodes that are led; then brief help, less and less often, and success rises."""
    helped = [True] * 20 + [index % 2 == 0 for index in range(40)] + [index % 8 == 0 for index in range(40)]
    failed = {index for index in range(EPISODES) if (index < 20 and index % 2) or (index < 60 and index % 7 == 3)}
    online = [
        episode(index, 80 if index in failed else 40, 6 * helped[index], success=index not in failed)
        for index in range(EPISODES)
    ]
    return [demo(28 + index % 6) for index in range(DEMOS)] + led_episodes() + online


def good_takeovers(episodes: list[EpisodeEvidence], first_step: int = 24, steps: int = 6) -> list[TakeoverEvidence]:
    """One in each episode that was helped; in those that were led, to the end."""
    return [
        TakeoverEvidence(
            episode=index,
            first_step=6 if it.human_steps == 20 else first_step,
            steps=20 if it.human_steps == 20 else steps,
            begun_m=it.cube_m,
        )
        for index, it in enumerate(episodes)
        if it.human_steps
    ]


def reading(updates: int, *found: str, **values: float) -> MetricsRecord:
    flags = {FLAG + name: float(name in found) for name in ("q_above_bound", "entropy_collapsed", "utd_starved")}
    usual = {"q_mean": 4.0, "q_max": 9.0, "entropy": -1.8, "temperature": 0.02, "recent_utd": 4.0, "steps_behind": 3.0}
    return MetricsRecord(updates=updates, env_steps=updates // 4, wall_s=updates / 60, metrics=usual | flags | values)


def evaluation(failing: frozenset[tuple[int, int]] = frozenset({(0, 0)}), failures: int = 1) -> Evaluation:
    """Four trials in each of 25 cells; in the failing ones so many fail."""
    trials = []
    for row, column, turn in ((row, column, turn) for row in range(5) for column in range(5) for turn in range(4)):
        x_m, y_m = FIELD.centre_m(row, column)
        success = not ((row, column) in failing and turn < failures)
        steps = 22 if success else 80
        trials.append(
            Trial(
                row=row,
                column=column,
                cube_x_m=x_m,
                cube_y_m=y_m,
                cube_yaw_rad=0.0,
                success=success,
                steps=steps,
                robot_time_s=steps / 10,
            )
        )
    return Evaluation(trials=tuple(trials), grid=FIELD, policy_version=9, deterministic=True, label="simulator")


def run(**changes: Any) -> RunEvidence:
    """A good run, but for the changes."""
    episodes = good_episodes()
    facts: dict[str, Any] = {
        "run": "made up",
        "control_hz": 10.0,
        "max_episode_steps": 80,
        "field": FIELD,
        "discount": 0.97,
        "q_bound": 10.0,
        "entropy_floor_nat": -4.0,
        "utd": 4.0,
        "steps_per_publication": 12.5,
        "episodes": tuple(episodes),
        "takeovers": tuple(good_takeovers(episodes)),
        "metrics": tuple(reading(200 * number) for number in range(1, 81)),
        "evaluation": evaluation(),
        "checkpoints": (
            CheckpointResult(updates=5_000, successes=71, trials=100),
            CheckpointResult(updates=10_000, successes=99, trials=100),
            CheckpointResult(updates=15_000, successes=97, trials=100),
        ),
        "weights": tuple(WeightsUse(version=version, steps=13) for version in range(1, 300)),
        "cameras": (),
        "clipped": ClipShares(tool=0.2, joints=0.01),
        "judge": JudgeAgreement(episodes=60, false_alarms=1, misses=2),
    }
    return RunEvidence.model_validate(facts | changes)


def only(evidence: RunEvidence, settings: CoachSettings | None = None) -> Advice:
    """The one advice there is."""
    (advice,) = advise(evidence, settings).advice
    assert advice.seen
    assert (advice.title, advice.why, advice.do) == (
        RULES[advice.rule].title,
        RULES[advice.rule].why,
        RULES[advice.rule].do,
    )
    return advice


def with_episodes(episodes: list[EpisodeEvidence], **changes: Any) -> RunEvidence:
    return run(episodes=tuple(episodes), takeovers=tuple(good_takeovers(episodes)), **changes)


class TestSilence:
    def test_on_a_good_run_every_rule_is_content(self) -> None:
        coaching = advise(run())
        assert coaching.advice == ()
        assert coaching.not_judged == ()
        assert set(coaching.content) == set(RULES)

    def test_on_a_run_that_has_hardly_begun_nothing_is_guessed(self) -> None:
        bare = run(
            episodes=(demo(), demo(), episode(0)),
            takeovers=(),
            metrics=(),
            evaluation=None,
            checkpoints=(),
            weights=(WeightsUse(version=1, steps=40),),
            cameras=None,
            clipped=None,
            judge=None,
        )
        coaching = advise(bare)
        assert [advice.rule for advice in coaching.advice] == ["few_demos"]
        lacks = {each.rule: each.lacks for each in coaching.not_judged}
        assert "no step says what was clipped" in lacks["clipped_actions"]
        assert "no reference of the demonstrations' pictures" in lacks["camera_drift"]
        assert "0 episodes with both" in lacks["judge_disagrees"]
        assert lacks["reward_too_rare"] == lacks["lead_first"] == "1 training episodes so far, 15 are needed"
        assert not {"value_above_bound", "stale_weights", "explore_first", "collapse"} - lacks.keys()

    def test_who_leads_the_first_episodes_to_their_end_is_told_nothing_about_helping(self) -> None:
        coaching = advise(with_episodes([demo() for _ in range(20)] + led_episodes()))
        assert coaching.advice == ()
        lacks = {each.rule: each.lacks for each in coaching.not_judged}
        assert {"explore_first", "brief_takeovers", "finished_by_hand"} <= lacks.keys()
        assert lacks["explore_first"] == "0 helped episodes after the first 120 training episodes so far, 8 are needed"

    def test_the_scripted_operator_leads_as_many_episodes_as_the_coach_advises(self) -> None:
        assert CoachSettings().operator.guided_episodes == OperatorSettings().guided_episodes == LED

    def test_who_leads_on_afterwards_is_told(self) -> None:
        episodes = [demo() for _ in range(20)] + led_episodes() + [episode(index, 26, 20) for index in range(20)]
        advice = advise(with_episodes(episodes)).advice
        assert {each.rule for each in advice} >= {"explore_first", "finished_by_hand", "help_not_falling"}

    def test_who_needs_no_help_any_more_is_told_nothing_about_helping(self) -> None:
        episodes = [demo() for _ in range(20)] + [episode(index) for index in range(140)]
        coaching = advise(with_episodes(episodes))
        assert coaching.advice == ()
        assert {"explore_first", "brief_takeovers", "finished_by_hand"} <= set(coaching.content)

    def test_every_rule_has_its_words_with_a_source(self) -> None:
        assert JUDGES.keys() == RULES.keys()
        assert all(rule.sources and rule.do and rule.why for rule in RULES.values())


class TestHelping:
    def test_too_rarely_to_the_end_at_first(self) -> None:
        online = [episode(index, 60, 6, success=index % 2 == 0) for index in range(30)]
        advice = only(with_episodes([demo() for _ in range(20)] + online))
        assert (advice.rule, advice.severity) == ("lead_first", Severity.HINT)
        # Of the episodes 15 to 29 it should be 1 - 22/120 of each in the mean.
        assert advice.figures == {"led": 0.0, "expected": pytest.approx(15 * (1 - 22 / 120)), "alone_share": 0.0}
        assert (
            "in 0 of the last 15 training episodes you drove to the end, a hand that leads at first would have in 12"
            in advice.seen
        )
        assert isinstance(advice.evidence, Curve)

    @pytest.mark.parametrize(("led", "said"), [(6, True), (7, False), (15, False)])
    def test_half_as_often_to_the_end_as_it_should_be_is_enough(self, led: int, said: bool) -> None:
        failed = [episode(index, 80, success=False) for index in range(30 - led)]
        demos = [demo() for _ in range(20)]
        advice = advise(with_episodes(demos + failed + [episode(index, 26, 20) for index in range(led)])).advice
        assert ("lead_first" in {each.rule for each in advice}) is said

    def test_a_policy_that_succeeds_alone_is_not_to_be_led(self) -> None:
        alone = [episode(index) for index in range(30)]
        assert advise(with_episodes([demo() for _ in range(20)] + alone)).advice == ()

    def test_before_the_policy_has_tried(self) -> None:
        episodes = good_episodes()
        advice = only(run(takeovers=tuple(good_takeovers(episodes, first_step=6))))
        assert (advice.rule, advice.severity) == ("explore_first", Severity.IMPORTANT)
        # The last 50 online episodes: of numbers 50 to 59 each second is helped (5), of 60 to 99 each eighth (5).
        assert "in 100% of the last 10 helped episodes the first takeover came before step 20" in advice.seen
        assert isinstance(advice.evidence, Histogram)
        assert advice.evidence.limit == 20
        assert sum(advice.evidence.counts) == advice.evidence.counts[1] == 10

    def test_for_long(self) -> None:
        episodes = good_episodes()
        advice = only(run(takeovers=tuple(good_takeovers(episodes, steps=15))), CoachSettings.model_validate(
            {"operator": {"long_steps": 12}}
        ))  # fmt: skip
        assert advice.rule == "brief_takeovers"
        assert advice.figures == {"long_share": 1.0, "median_steps": 15.0, "longest_steps": 15.0}
        assert "longer than 12 steps (1.2 s); the median is 15" in advice.seen
        assert isinstance(advice.evidence, Histogram)
        assert (sum(advice.evidence.counts), advice.evidence.counts[3]) == (10, 10)  # 15 to 19 steps

    def test_to_the_end_of_the_task(self) -> None:
        episodes = good_episodes()
        advice = only(run(takeovers=tuple(good_takeovers(episodes, first_step=34))))  # 34 + 6 = 40: the last step
        assert advice.rule == "finished_by_hand"
        assert "9 of the last 9 helped successes ended while you drove, after 6 steps by hand" in advice.seen

    def test_as_much_as_at_the_beginning(self) -> None:
        episodes = [demo() for _ in range(20)] + [episode(index, 40, 8) for index in range(140)]
        advice = only(with_episodes(episodes))
        assert advice.rule == "help_not_falling"
        assert advice.figures == {"first_share": 0.2, "last_share": 0.2}
        assert isinstance(advice.evidence, Curve)
        assert advice.evidence.x[-1] == 140


class TestProgress:
    def test_reward_in_too_few_episodes(self) -> None:
        online = [episode(index, 80, success=index % 5 == 0) for index in range(LED + 40)]
        advice = only(with_episodes([demo() for _ in range(20)] + online))
        assert advice.rule == "reward_too_rare"
        assert "6 of the last 30 training episodes had reward (20%)" in advice.seen

    def test_a_third_is_enough(self) -> None:
        online = [episode(index, 80, success=index % 3 == 0) for index in range(LED + 30)]
        assert advise(with_episodes([demo() for _ in range(20)] + online)).advice == ()

    def test_a_checkpoint_that_was_better(self) -> None:
        results = (
            CheckpointResult(updates=10_000, successes=95, trials=100),
            CheckpointResult(updates=20_000, successes=60, trials=100),
        )
        advice = only(run(checkpoints=results))
        assert (advice.rule, advice.severity) == ("collapse", Severity.URGENT)
        assert "the checkpoint of 10,000 updates came to 95/100" in advice.seen
        assert "rollback --to best" in advice.do

    def test_a_difference_by_chance_is_no_decline(self) -> None:
        results = (
            CheckpointResult(updates=10_000, successes=19, trials=20),
            CheckpointResult(updates=20_000, successes=16, trials=20),
        )
        assert advise(run(checkpoints=results)).advice == ()

    def test_training_that_peaks_and_declines(self) -> None:
        episodes = good_episodes() + [episode(index, 80, success=index % 2 == 0) for index in range(40)]
        advice = only(with_episodes(episodes))
        assert advice.rule == "collapse"
        # The last 30: 15 of 30 alone. The best before: all but the helped ones of the last 40 good episodes, 26 of 30.
        assert advice.figures["last_share"] == pytest.approx(0.5)
        assert advice.figures["best_share"] == pytest.approx(27 / 30)


class TestPlaces:
    def test_a_corner_of_the_evaluation(self) -> None:
        advice = only(run(evaluation=evaluation(frozenset({(4, 0)}), failures=4)))
        assert advice.rule == "weak_cells"
        assert "evaluation: 96% on average, but 0/4 at x 29, y −6 cm" in advice.seen
        assert isinstance(advice.evidence, FieldMap)
        assert advice.evidence.marked == ("4,0",)
        assert advice.evidence.by_cell()[4, 0].n == 4

    def test_two_failures_in_six_are_luck_where_nearly_all_succeed(self) -> None:
        online = [episode(index, success=index not in {*range(8), 32}) for index in range(150)]
        assert advise(with_episodes([demo() for _ in range(20)] + online, evaluation=None)).advice == ()

    def test_of_training_where_nothing_was_evaluated(self) -> None:
        online = [episode(index, success=index % 25 != 7) for index in range(150)]  # 7: row 2, column 1
        advice = only(with_episodes([demo() for _ in range(20)] + online, evaluation=None))
        assert "training episodes that succeeded alone, by place of the cube: 96% on average" in advice.seen
        assert "0/6 at x 25, y −3 cm" in advice.seen

    def test_where_an_arm_was_taken_over_that_nobody_sees_the_cube_of(self) -> None:
        online = [episode(index, 40, 6 * (index % 25 == 7)).model_copy(update={"cube_m": None}) for index in range(150)]
        episodes = [demo() for _ in range(20)] + online
        taken = [it.model_copy(update={"begun_m": FIELD.centre_m(2, 1)}) for it in good_takeovers(episodes)]
        advice = only(run(episodes=tuple(episodes), takeovers=tuple(taken), evaluation=None))
        assert "successes alone against takeovers, by place of the tool" in advice.seen
        assert "0/6 at x 25, y −3 cm" in advice.seen


class TestLearner:
    @pytest.mark.parametrize(
        ("rule", "flag", "values", "said"),
        [
            ("value_above_bound", "q_above_bound", {"q_mean": 14.0, "q_max": 20.0}, "no return exceeds 10"),
            ("entropy_collapse", "entropy_collapsed", {"entropy": -7.5}, "entropy is -7.5 nat, expected at least -4"),
            ("utd_starved", "utd_starved", {"recent_utd": 1.1, "steps_behind": 900.0}, "1.1 updates for each new step"),
        ],
    )
    def test_what_the_health_checks_keep_finding(
        self, rule: str, flag: str, values: dict[str, float], said: str
    ) -> None:
        sound = [reading(200 * number) for number in range(1, 61)]
        sick = [reading(200 * number, flag, **values) for number in range(61, 81)]
        advice = only(run(metrics=tuple(sound + sick)))
        assert advice.rule == rule
        assert said in advice.seen
        assert isinstance(advice.evidence, Curve)
        assert advice.evidence.x[-1] == 16_000

    def test_what_they_found_once_is_over(self) -> None:
        readings = [
            reading(200 * number, *(["q_above_bound"] if number in (30, 77) else [])) for number in range(1, 81)
        ]
        assert advise(run(metrics=tuple(readings))).advice == ()

    def test_weights_that_are_not_renewed(self) -> None:
        advice = only(run(weights=(WeightsUse(version=1, steps=13), WeightsUse(version=2, steps=900))))
        assert advice.rule == "stale_weights"
        # The last 500 ages are 400..899, whose median is 649.5.
        assert advice.figures["median_age_steps"] == 649.5

    def test_weights_are_as_old_as_the_settings_make_them(self) -> None:
        used = tuple(WeightsUse(version=version, steps=250) for version in range(1, 8))
        assert advise(run(weights=used, steps_per_publication=250.0)).advice == ()


class TestDesk:
    def test_few_demonstrations(self) -> None:
        episodes = good_episodes()[8:]
        advice = only(with_episodes(episodes))
        assert (advice.rule, advice.severity) == ("few_demos", Severity.HINT)
        assert "12 successful demonstrations, expected at least 20" in advice.seen

    def test_demonstrations_that_dawdle(self) -> None:
        episodes = [demo(76) for _ in range(20)] + good_episodes()[20:]
        advice = only(with_episodes(episodes))
        assert advice.rule == "slow_demos"
        # 0.97^76 = exp(76 ln 0.97) = exp(-2.3149) = 0.0988
        assert "a median demonstration takes 76 steps (7.6 s), after which 10% of the reward" in advice.seen
        assert advice.figures == pytest.approx({"demo_steps": 76, "value_left": 0.0988, "policy_steps": 22}, abs=1e-4)

    def test_cameras_that_see_something_else(self) -> None:
        lamp = CameraDrift(
            what="camera 'wrist': brightness: 48 % (limit 20)",
            measured=0.48,
            limit=0.2,
            severe=True,
            cure="lamps as before",
        )
        advice = only(run(cameras=(lamp,)))
        assert (advice.rule, advice.severity) == ("camera_drift", Severity.URGENT)
        assert advice.seen == "camera 'wrist': brightness: 48 % (limit 20): lamps as before"

    def test_an_arm_that_does_something_else(self) -> None:
        assert only(run(clipped=ClipShares(tool=0.2, joints=0.2))).rule == "clipped_actions"

    def test_a_classifier_that_pays_for_failures(self) -> None:
        advice = only(run(judge=JudgeAgreement(episodes=40, false_alarms=6, misses=2)))
        assert (advice.rule, advice.severity) == ("judge_disagrees", Severity.URGENT)
        assert advice.figures["disagreement"] == 0.2


def test_what_matters_most_comes_first() -> None:
    metrics = tuple(reading(200 * number, "q_above_bound") for number in range(1, 81))
    coaching = advise(
        run(
            metrics=metrics,
            clipped=ClipShares(tool=0.2, joints=0.2),
            evaluation=evaluation(frozenset({(4, 0)}), failures=4),
        )
    )
    assert [advice.rule for advice in coaching.advice] == ["value_above_bound", "clipped_actions", "weak_cells"]
