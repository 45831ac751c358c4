"""Export and prune: the copy is byte-equal and of one moment, only what was chosen goes, and replay notices."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.replay import EncodedObservation, EncodedStep, Replay, ReplayLayout
from learner.store import ExperienceStore, StoreError, StoreReader, lock_store
from learner.store_copy import export_store
from learner.store_prune import prune_store
from learner.store_selection import SelectionError, choose_episodes
from learner.store_verify import check_episode, check_structure
from learner.views import StoredViews
from nudge.v1 import learner_pb2 as pb
from policy.experience import Source
from policy.fakes import fake_contract, fake_episode
from policy.file_lock import LockHeld
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=16)
A, B = "a" * 32, "b" * 32


def messages(session: str, episode: int, steps: int = 3, *, whole: bool = True) -> list[pb.Step]:
    rng = np.random.default_rng([int(session[:2], 16), episode])
    made = fake_episode(CONTRACT, steps + (not whole), rng, session=session, episode=episode, source=Source.POLICY)
    return [pack_step(step) for step in made[:steps]]


def contents(store: StoreReader) -> list[bytes]:
    """Every message as it came, in the order of arrival."""
    return [pack_step(step).SerializeToString(deterministic=True) for _, step in store.read_after(0, 10_000)]


def serialised(*groups: list[pb.Step]) -> list[bytes]:
    return [message.SerializeToString(deterministic=True) for group in groups for message in group]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store: A has 0 (complete), 1 (unfinished), 2 (complete); B has 4 (unfinished)."""
    path = tmp_path / "experience.sqlite"
    with ExperienceStore(path, CONTRACT) as store:
        store.append([*messages(A, 0), *messages(A, 1, 2, whole=False), *messages(B, 4, 2, whole=False)])
        store.append(messages(A, 2))
    return path


class TestSelection:
    def test_all_a_session_an_episode_or_the_unfinished(self, path: Path) -> None:
        def chosen(session: str = "", episode: int | None = None, *, unfinished: bool = False) -> list[tuple[str, int]]:
            found = choose_episodes(store, session, episode, unfinished=unfinished)
            return [(each.session[0], each.index) for each in found]

        with StoreReader(path) as store:
            assert chosen() == [("a", 0), ("a", 1), ("b", 4), ("a", 2)]
            assert chosen("aa") == [("a", 0), ("a", 1), ("a", 2)]
            assert chosen("a", 2) == [("a", 2)]
            assert chosen(unfinished=True) == [("a", 1), ("b", 4)]
            assert [each.index for each in choose_episodes(store) if each.newest] == [4, 2]

    @pytest.mark.parametrize(
        ("session", "episode", "reason"),
        [("c", None, "got 0 that begin so, expected one of aaaaaaaa, bbbbbbbb"), ("", 3, "give the session"),
         ("a", 7, "no such episode 7")],
    )  # fmt: skip
    def test_what_is_not_there_or_not_clear_is_refused(
        self, path: Path, session: str, episode: int | None, reason: str
    ) -> None:
        with StoreReader(path) as store, pytest.raises(SelectionError, match=reason):
            choose_episodes(store, session, episode)


class TestExport:
    def test_a_copy_made_while_a_learner_writes_is_of_one_moment(self, tmp_path: Path) -> None:
        path, stop = tmp_path / "experience.sqlite", threading.Event()
        with ExperienceStore(path, CONTRACT) as learner:
            learner.append(messages(A, 0))

            def write() -> None:
                episode = 1
                while not stop.is_set():
                    made = messages(A, episode)
                    learner.append(made[:2])
                    learner.append(made[2:])
                    episode += 1

            writer = threading.Thread(target=write)
            writer.start()
            try:
                with StoreReader(path) as reader:
                    chosen = choose_episodes(reader)
                    exported = export_store(reader, tmp_path / "copy.sqlite", chosen)
            finally:
                stop.set()
                writer.join()
            originals = contents(learner)
        with ExperienceStore(tmp_path / "copy.sqlite", CONTRACT) as copy:
            assert copy.counts().env_steps == exported.steps
            assert contents(copy) == originals[: exported.steps]
            assert not check_structure(copy)
            assert not [finding for each in chosen for finding in check_episode(copy, each.id)]

    def test_chosen_episodes_keep_their_cursors(self, path: Path, tmp_path: Path) -> None:
        with StoreReader(path) as store:
            assert export_store(store, tmp_path / "copy.sqlite", choose_episodes(store, "a", 2)).steps == 3
        with StoreReader(tmp_path / "copy.sqlite", CONTRACT) as copy:
            assert [cursor for cursor, _ in copy.read_after(0, 10)] == [8, 9, 10]  # 3 + 2 + 2 came before
            assert contents(copy) == serialised(messages(A, 2))

    def test_it_never_overwrites(self, path: Path, tmp_path: Path) -> None:
        target = tmp_path / "copy.sqlite"
        target.write_text("precious")
        with StoreReader(path) as store, pytest.raises(StoreError, match="never overwrites"):
            export_store(store, target, choose_episodes(store))
        assert target.read_text() == "precious"
        assert sorted(each.name for each in tmp_path.iterdir()) == [
            "copy.sqlite",
            "experience.sqlite",
            "experience.sqlite.lock",
        ]

    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_what_was_appended_is_byte_equal_after_reopening_and_in_a_copy(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("store")
        place = st.tuples(st.sampled_from([A, B]), st.integers(1, 4), st.booleans())
        sent: list[list[pb.Step]] = []
        with ExperienceStore(folder / "experience.sqlite", CONTRACT) as store:
            for episode, (session, steps, whole) in enumerate(data.draw(st.lists(place, min_size=1, max_size=5))):
                sent.append(messages(session, episode, steps, whole=whole))
            store.append([message for group in sent for message in group])
            assert contents(store) == serialised(*sent)
        with ExperienceStore(folder / "experience.sqlite", CONTRACT) as store:
            assert contents(store) == serialised(*sent)
            chosen = data.draw(st.lists(st.sampled_from(choose_episodes(store)), unique=True))
            export_store(store, folder / "copy.sqlite", chosen)
        ids = {(each.session, each.index) for each in chosen}
        kept = [group for group in sent if (group[0].id.session, group[0].id.episode) in ids]
        with StoreReader(folder / "copy.sqlite") as copy:
            assert contents(copy) == serialised(*kept)


class TestPrune:
    def test_what_was_chosen_is_gone_the_rest_is_untouched_and_the_room_is_given_back(self, tmp_path: Path) -> None:
        path = tmp_path / "experience.sqlite"
        with ExperienceStore(path, CONTRACT) as store:
            store.append([message for episode in range(40) for message in messages(A, episode)])
        before = path.stat().st_size
        with StoreReader(path) as reader:
            chosen = [each for each in choose_episodes(reader) if each.index % 2]
        with lock_store(path):
            freed = prune_store(path, chosen)
        assert before - path.stat().st_size == freed
        assert freed > 0.4 * before
        with ExperienceStore(path, CONTRACT) as store:
            assert contents(store) == serialised(*(messages(A, episode) for episode in range(0, 40, 2)))
            assert not check_structure(store)
            last = store.read_after(0, 1000)[-1][0]
            store.append(messages(A, 40))
            assert store.read_after(last, 1)[0][0] == 121  # 40 * 3 were given out: no number comes again

    def test_a_learner_keeps_it_away(self, path: Path) -> None:
        with ExperienceStore(path, CONTRACT), pytest.raises(LockHeld, match="a learner for one; stop it first"):
            lock_store(path)


class TestReplayNotices:
    LAYOUT = ReplayLayout(StoredViews((1, 1, 1, 2, 2)), proprioception=3, action=4)

    def fill(self, folder: Path, store: StoreReader) -> Replay:
        replay = Replay(folder, self.LAYOUT, {})
        for cursor, step in store.read_after(0, 100):
            seen = EncodedObservation(np.zeros(self.LAYOUT.views.shape, np.float16), step.observation.proprioception)
            final = None if step.final is None else seen
            replay.add(
                EncodedStep(cursor, step.id, seen, step.action, step.source, step.reward, step.terminated, final)
            )
        replay.save()
        return replay

    def holds(self, folder: Path, store: StoreReader) -> bool:
        replay = Replay(folder, self.LAYOUT, {})
        return replay.steps == 10 and replay.holds_exactly(*store.ids_up_to(replay.cursor))

    def test_a_pruned_store(self, path: Path, tmp_path: Path) -> None:
        with StoreReader(path) as store:
            self.fill(tmp_path, store)
            assert self.holds(tmp_path, store)
            chosen = choose_episodes(store, "a", 1)
        with lock_store(path):
            prune_store(path, chosen)
        with StoreReader(path) as store:
            assert not self.holds(tmp_path, store)

    def test_a_store_that_lost_its_end_and_has_grown_again(self, path: Path, tmp_path: Path) -> None:
        with StoreReader(path) as store:
            self.fill(tmp_path, store)
        connection = sqlite3.connect(path)
        connection.executescript(
            "DELETE FROM frames WHERE seq > 7; DELETE FROM steps WHERE seq > 7; DELETE FROM episodes WHERE id > 3;"
            "UPDATE sqlite_sequence SET seq = 7"
        )
        connection.close()
        with ExperienceStore(path, CONTRACT) as store:
            store.append(messages("c" * 32, 0))
            assert store.read_after(9, 10)[0][0] == 10  # as many steps as before, but others
            assert not self.holds(tmp_path, store)

    def test_another_store_in_its_place(self, path: Path, tmp_path: Path) -> None:
        with StoreReader(path) as store:
            self.fill(tmp_path, store)
        path.unlink()
        with ExperienceStore(path, CONTRACT) as store:
            store.append([message for episode in range(4) for message in messages("d" * 32, episode)])
            assert not self.holds(tmp_path, store)

    def test_a_column_that_is_missing_or_short(self, path: Path, tmp_path: Path) -> None:
        with StoreReader(path) as store:
            self.fill(tmp_path, store)
            (tmp_path / "reward.bin").write_bytes(b"")
            assert not self.holds(tmp_path, store)
            self.fill(tmp_path, store)
            (tmp_path / "action.bin").unlink()
            assert not self.holds(tmp_path, store)
