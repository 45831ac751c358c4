"""Another judge within a run: what is learned follows it, the record stays, and the operator's word stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.acceptance import NothingToReplace, Rejudged
from learner.disputes import DisputeSettings, find_disputes
from learner.judged import JudgedEpisode, read_judged
from learner.judges import OtherJudge, require_same_judge
from learner.replay import EncodedObservation, EncodedStep, Replay, ReplayLayout
from learner.store import ExperienceStore, StoreReader, lock_store
from learner.store_copy import export_store
from learner.store_prune import prune_store
from learner.store_selection import choose_episodes
from learner.store_verify import check_episode, check_structure
from learner.views import StoredViews
from policy.experience import Judgement, Observation, Reason, Source, Step, StepId
from policy.wire import pack_step
from tiny import CONTRACT, SIZE

SESSION, FIRST, SECOND, THIRD = "a" * 32, "3f" * 32, "ab" * 32, "c7" * 32
FRAME = np.zeros((SIZE, SIZE, 3), np.uint8)
LAYOUT = ReplayLayout(StoredViews((1, 1, 1, 2, 2)), proprioception=1, action=1)

PAID, CUT, SAID_SUCCESS, SAID_FAILURE, OVERRULED, REJECTED, UNFINISHED, UNJUDGED = ENDS = (
    "paid", "cut", "said success", "said failure", "overruled", "rejected", "unfinished", "unjudged",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """An episode as an actor sends it."""

    end: str
    steps: tuple[Step, ...]


def seen(number: float) -> Observation:
    """Tells which observation it is."""
    return Observation({"wrist": FRAME}, np.array([number], np.float32), np.zeros(0, np.float32))


def made(index: int, length: int, end: str) -> Made:
    def step(number: int) -> Step:
        last = number == length - 1 and end != UNFINISHED
        pays = last and end in (PAID, OVERRULED)
        reason = Reason.SUCCESS if pays else Reason.UNLIKELY
        terminated = last and end in (PAID, SAID_SUCCESS, SAID_FAILURE, OVERRULED)
        return Step(
            id=StepId(SESSION, index, number),
            observation=seen(index + number / 16),
            action=np.ones(1, np.float32),
            source=Source.HUMAN if number % 2 else Source.POLICY,
            reward=float(last and end in (PAID, SAID_SUCCESS)),
            terminated=terminated,
            truncated=last and not terminated,
            policy_version=1,
            monotonic_ns=number,
            wall_ns=number,
            final=seen(index + length / 16) if last else None,
            rejected=last and end == REJECTED,
            judgement=None if end == UNJUDGED else Judgement(0.5, reason),
        )

    return Made(end, tuple(map(step, range(length))))


def opinions(episode: Made, pays_at: int | None) -> list[Judgement | None]:
    """Of a judge that pays there, if it saw what came of that step."""
    known = len(episode.steps) - (episode.end == UNFINISHED)

    def reason(step: int) -> Reason:
        if pays_at is None or step < pays_at:
            return Reason.UNLIKELY
        return Reason.SUCCESS if step == pays_at else Reason.PAID

    return [Judgement(0.25, reason(step)) if step < known else None for step in range(len(episode.steps))]


def naive(episode: Made, pays_at: int | None) -> list[Step]:
    """What is learned of an episode: walked step by step, without a table."""
    steps, last = list(episode.steps), len(episode.steps) - 1
    if episode.end in (SAID_SUCCESS, SAID_FAILURE, OVERRULED, REJECTED, UNJUDGED):
        return steps
    if pays_at is not None and pays_at < len(steps) - (episode.end == UNFINISHED):
        after = steps[pays_at].final or steps[pays_at + 1].observation
        end = replace(steps[pays_at], reward=1.0, terminated=True, truncated=False, final=after)
        return [*steps[:pays_at], end]
    if episode.end == PAID:
        return [*steps[:last], replace(steps[last], reward=0.0, terminated=False, truncated=True)]
    return steps


def accept(store: ExperienceStore, name: str, episodes: Sequence[Made], pays: Sequence[int | None]) -> None:
    def anew() -> Iterator[Rejudged]:
        for judged in read_judged(store):
            yield Rejudged(judged, opinions(episodes[judged.index], pays[judged.index]))

    store.accept_judge(name, anew())


def fill(folder: Path, steps: Sequence[tuple[int, Step]]) -> Replay:
    def encoded(observation: Observation) -> EncodedObservation:
        return EncodedObservation(np.zeros(LAYOUT.views.shape, np.float16), observation.proprioception)

    replay = Replay(folder, LAYOUT, {})
    for cursor, it in steps:
        final = None if it.final is None else encoded(it.final)
        now = encoded(it.observation)
        replay.add(EncodedStep(cursor, it.id, now, it.action, it.source, it.reward, it.terminated, final, it.rejected,
                               it.after_end))  # fmt: skip
    return replay


def drawn(replay: Replay, n_step: int) -> dict[float, tuple[float, float, float]]:
    """observation -> (the one to bootstrap from, return, discount)."""
    if not len(replay):
        return {}
    batch = replay.sample(512, 0.5, n_step, 0.9, np.random.default_rng(0))
    columns = (batch.proprioception, batch.next_proprioception, batch.reward, batch.discount)
    return {
        row[0]: (row[1], row[2], row[3]) for row in zip(*(each.flatten().tolist() for each in columns), strict=True)
    }


def the_same(one: Step, other: Step) -> bool:
    return pack_step(replace(one, judgement=None)) == pack_step(replace(other, judgement=None))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Made], list[list[int | None]]]:
    """Episodes, and where each of one to three judges that are accepted one after the other pays in each."""
    shapes = draw(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(ENDS)), min_size=1, max_size=5))
    episodes = [made(index, length, end) for index, (length, end) in enumerate(shapes)]
    step = [st.none() | st.integers(0, length - 1) for length, _ in shapes]
    return episodes, [[draw(each) for each in step] for _ in range(draw(st.integers(1, 3)))]


class TestWhatIsLearned:
    @given(history=histories(), page=st.integers(1, 7), n_step=st.integers(1, 3))
    @settings(max_examples=25, deadline=None)
    def test_is_what_a_naive_reading_of_the_episodes_gives(
        self, history: tuple[list[Made], list[list[int | None]]], page: int, n_step: int
    ) -> None:
        episodes, judges = history
        with TemporaryDirectory() as folder, ExperienceStore(Path(folder) / "store.sqlite", CONTRACT) as store:
            store.keep_to_judge(FIRST)
            store.append([pack_step(step) for episode in episodes for step in episode.steps])
            for number, pays in enumerate(judges):
                accept(store, (SECOND, FIRST, SECOND)[number], episodes, pays)
            expected = [step for it, pays in zip(episodes, judges[-1], strict=True) for step in naive(it, pays)]

            got: list[tuple[int, Step]] = []
            while more := store.read_after(got[-1][0] if got else 0, page):
                got += more
            learned = [(cursor, step) for cursor, step in got if not step.after_end]
            assert len(got) == store.counts().env_steps  # what is not learned from still counts as a step
            assert [it.id for _, it in learned] == [it.id for it in expected]
            assert all(the_same(one, other) for (_, one), other in zip(learned, expected, strict=True))

            replay = fill(Path(folder) / "all", got)
            assert replay.steps == len(got)
            assert replay.holds_exactly(*store.ids_up_to(replay.cursor))
            simple = fill(Path(folder) / "naive", [(cursor, step) for (cursor, _), step in
                                                   zip(learned, expected, strict=True)])  # fmt: skip
            assert len(replay) == len(simple)
            assert drawn(replay, n_step) == drawn(simple, n_step)
            successes = [it for it in expected if it.terminated and it.reward > 0]
            assert store.counts().successes == len(successes) == sum(it.success for it in store.episodes())
            self.nothing_recorded_is_changed(store, episodes)

    @staticmethod
    def nothing_recorded_is_changed(store: ExperienceStore, episodes: Sequence[Made]) -> None:
        for chosen, episode in zip(choose_episodes(store), episodes, strict=True):
            recorded = store.recorded_episode(chosen.id)
            assert [pack_step(it) for it in recorded] == [pack_step(it) for it in episode.steps]
            assert not check_episode(store, chosen.id)
        assert not check_structure(store)

    def test_steps_that_come_later_for_an_episode_that_has_ended_earlier_are_not_learned_from(
        self, tmp_path: Path
    ) -> None:
        episode = made(0, 4, CUT)
        with ExperienceStore(tmp_path / "store.sqlite", CONTRACT) as store:
            store.keep_to_judge(FIRST)
            store.append([pack_step(step) for step in episode.steps[:3]])
            accept(store, SECOND, [Made(UNFINISHED, episode.steps[:3])], [0])
            store.append([pack_step(episode.steps[3])])
            assert [step.after_end for _, step in store.read_after(0, 9)] == [False, True, True, True]
            assert store.counts().successes == 1


EPISODES = [made(0, 3, PAID), made(1, 4, CUT), made(2, 3, SAID_FAILURE), made(3, 3, OVERRULED), made(4, 3, REJECTED)]
PAYS = [None, 1, 0, None, 1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store, after `SECOND` was accepted in it."""
    path = tmp_path / "store.sqlite"
    with ExperienceStore(path, CONTRACT) as store:
        store.keep_to_judge(FIRST)
        store.append([pack_step(step) for episode in EPISODES for step in episode.steps])
        accept(store, SECOND, EPISODES, PAYS)
    return path


class TestTheStore:
    def test_a_replay_of_before_does_not_hold_what_is_learned_now(self, tmp_path: Path) -> None:
        with ExperienceStore(tmp_path / "store.sqlite", CONTRACT) as store:
            store.keep_to_judge(FIRST)
            store.append([pack_step(step) for episode in EPISODES for step in episode.steps])
            replay = fill(tmp_path / "replay", store.read_after(0, 99))
            assert replay.holds_exactly(*store.ids_up_to(99))
            accept(store, SECOND, EPISODES, [2, None, None, None, None])  # as it was: nothing is to be made again
            assert replay.holds_exactly(*store.ids_up_to(99))
            accept(store, THIRD, EPISODES, PAYS)
            assert not replay.holds_exactly(*store.ids_up_to(99))

    def test_all_of_it_is_kept_or_nothing(self, tmp_path: Path) -> None:
        def broken() -> Iterator[Rejudged]:
            yield Rejudged(read_judged(store)[0], opinions(EPISODES[0], None))
            raise KeyboardInterrupt

        with ExperienceStore(tmp_path / "store.sqlite", CONTRACT) as store:
            store.keep_to_judge(FIRST)
            store.append([pack_step(step) for step in EPISODES[0].steps])
            before = store.counts()
            with pytest.raises(KeyboardInterrupt):
                store.accept_judge(SECOND, broken())
            judge = store.judge()
            assert judge is not None
            assert (judge.name, store.counts()) == (FIRST, before)
            assert store.counts().successes == 1
            store.keep_to_judge(FIRST)

    def test_a_copy_takes_it_along_and_a_pruned_store_is_sound(self, path: Path, tmp_path: Path) -> None:
        with StoreReader(path) as store:
            export_store(store, tmp_path / "copy.sqlite", choose_episodes(store))
            with StoreReader(tmp_path / "copy.sqlite") as copy:
                assert copy.judge() == store.judge()
                assert copy.episodes() == store.episodes()
                assert read_judged(copy) == read_judged(store)
            chosen = choose_episodes(store, SESSION, 1)
        with lock_store(path):
            prune_store(path, chosen)
        with StoreReader(path) as store:
            assert not check_structure(store)
            assert [it.index for it in read_judged(store)] == [0, 2, 3, 4]

    def test_the_one_before_is_refused_with_what_was_accepted_and_when(self, path: Path) -> None:
        with ExperienceStore(path, CONTRACT) as store:
            known = store.judge()
            with pytest.raises(OtherJudge, match=r"got the classifier 3f3f3f3f3f3f, expected the classifier "
                               r"abababababab, which was accepted on \d{4}-\d\d-\d\d \d\d:\d\d in place of the "
                               r"classifier 3f3f3f3f3f3f"):  # fmt: skip
                require_same_judge(FIRST, known)
            with pytest.raises(OtherJudge):
                store.keep_to_judge(FIRST)
            store.keep_to_judge(SECOND)

    @pytest.mark.parametrize(
        ("pays", "name", "told"),
        [(FIRST, FIRST, "pays in this run already"), ("simulator", FIRST, "rewards by the simulator's truth"),
         ("", FIRST, "rewards by nobody has said")],
    )  # fmt: skip
    def test_only_another_classifier_can_follow_one(self, tmp_path: Path, pays: str, name: str, told: str) -> None:
        with ExperienceStore(tmp_path / "store.sqlite", CONTRACT) as store:
            store.keep_to_judge(pays)
            with pytest.raises(NothingToReplace, match=told):
                store.accept_judge(name, [])


class TestDisputes:
    def judged(self, folder: Path, *ends: str) -> list[JudgedEpisode]:
        with ExperienceStore(folder / "store.sqlite", CONTRACT) as store:
            store.append([pack_step(step) for index, end in enumerate(ends) for step in made(index, 3, end).steps])
            return read_judged(store)

    def test_they_are_where_the_key_contradicts_the_judge(self, tmp_path: Path) -> None:
        found = find_disputes(self.judged(tmp_path, *ENDS), DisputeSettings())
        assert [ENDS[it.index] for it in found.disputed] == [SAID_SUCCESS, OVERRULED]
        # paid, cut, said success, said failure, overruled: what was rejected, has no end or no judge does not count
        assert (found.recent_disputed, found.recent, found.share) == (2, 5, 0.4)
        assert found.flagged

    def test_only_the_newest_count_for_the_flag(self, tmp_path: Path) -> None:
        judged = self.judged(tmp_path, OVERRULED, OVERRULED, CUT, CUT, CUT, OVERRULED, PAID)
        assert not find_disputes(judged, DisputeSettings(newest=5, share=0.2)).flagged  # 1 of 5 is not above
        assert find_disputes(judged, DisputeSettings(newest=5, share=0.19)).flagged
        assert find_disputes(judged, DisputeSettings(newest=7, share=0.4)).flagged  # 3 of 7
        assert not find_disputes([], DisputeSettings()).flagged

    def test_the_newest_judge_is_the_one_that_is_contradicted(self, path: Path) -> None:
        with StoreReader(path) as store:
            found = find_disputes(read_judged(store), DisputeSettings())
        assert [it.index for it in found.disputed] == [2]  # said failure, which it pays for; it agrees about 3
        assert [it.index for it in found.rejected] == [4]
        assert found.disputed[0].paid_at == 0
