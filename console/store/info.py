"""What is in an experience store, in figures: for a table, and as JSON."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from learner.judges import told
from learner.store import EpisodeRecord, StoreReader
from learner.store_prune import file_bytes

SESSION_DIGITS = 8  # the full id of a session is a secret of its actor


@dataclass(frozen=True, slots=True)
class EpisodeFigures:
    """Sums over some episodes. Without episodes there are no times.

    human_steps: interventions; first, last: wall clock of the actors, ISO 8601 in UTC
    """

    episodes: int
    complete: int
    unfinished: int
    demo: int
    online: int
    successes: int
    steps: int
    human_steps: int
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """One store.

    bytes: the file with its log; sessions: by their first digits, the newest at the end
    judge: who pays the rewards, as an actor says it; None: none has
    """

    path: str
    bytes: int
    contract_hash: str
    total: EpisodeFigures
    bytes_per_step: float | None
    sessions: dict[str, EpisodeFigures]
    judge: str | None

    def as_json(self) -> dict[str, Any]:
        """The same as a tree of plain values."""
        return asdict(self)


def read_info(store: StoreReader) -> StoreInfo:
    """Everything that `nudge store info` tells."""
    records, size, judge = store.episodes(), file_bytes(store.path), store.judge()
    by_session = {name: [record for record in records if record.session == name] for name in store.sessions()}
    total = _figures(records)
    return StoreInfo(
        path=str(store.path),
        bytes=size,
        contract_hash=store.contract.hash,
        total=total,
        bytes_per_step=size / total.steps if total.steps else None,
        sessions={name[:SESSION_DIGITS]: _figures(some) for name, some in by_session.items()},
        judge=None if judge is None else judge.name,
    )


def info_tables(info: StoreInfo) -> tuple[Table, Table]:
    """The store as a whole, and its sessions."""
    total = info.total
    whole = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
        ("store", info.path),
        ("size", f"{info.bytes / 1e6:.1f} MB"),
        ("contract", info.contract_hash),
        ("episodes", f"{total.episodes}: {total.complete} complete, {total.unfinished} unfinished"),
        ("of these", f"{total.demo} demonstrations, {total.online} online, {total.successes} successes"),
        ("steps", f"{total.steps}, {total.human_steps} of them interventions"),
        ("bytes per step", "–" if info.bytes_per_step is None else f"{info.bytes_per_step:,.0f}"),
        ("rewards by", "nobody has said" if info.judge is None else told(info.judge)),
        ("time", f"{total.first or '–'} to {total.last or '–'}"),
    ):
        whole.add_row(name, value)
    columns = ("session", "episodes", "unfinished", "demo", "successes", "steps", "human", "first", "last")
    sessions = Table(*columns, box=None, pad_edge=False, title_justify="left")
    for name, of in info.sessions.items():
        counted = (of.episodes, of.unfinished, of.demo, of.successes, of.steps, of.human_steps)
        sessions.add_row(name, *map(str, counted), of.first, of.last)
    return whole, sessions


def _figures(records: list[EpisodeRecord]) -> EpisodeFigures:
    complete = sum(record.complete for record in records)
    demo = sum(record.kind == "demo" for record in records)
    return EpisodeFigures(
        episodes=len(records),
        complete=complete,
        unfinished=len(records) - complete,
        demo=demo,
        online=len(records) - demo,
        successes=sum(record.success for record in records),
        steps=sum(record.steps for record in records),
        human_steps=sum(record.human_steps for record in records),
        first=_time(min((record.first_wall_ns for record in records), default=None)),
        last=_time(max((record.last_wall_ns for record in records), default=None)),
    )


def _time(wall_ns: int | None) -> str | None:
    if wall_ns is None:
        return None
    return dt.datetime.fromtimestamp(wall_ns // 10**9, dt.UTC).isoformat()
