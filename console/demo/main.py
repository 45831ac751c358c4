"""`nudge demo`: the whole system without any hardware, from an empty folder to a report.

First a reward classifier is trained, which then pays, unless another judge is set: `console.demo.classifier`. A
learner and an actor run as two processes and meet over gRPC, as they would on two machines.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from console.dashboard.child import dashboard_url
from console.errors import ConsoleError
from console.presets.load import dump_settings, load_settings
from console.report.main import paper_deviations, report_run
from console.run_folder import POLICY_FILE, READY_FILE, SETTINGS_FILE, STORE_FILE
from console.settings import Settings
from console.statistics import running_average
from console.stopping import Child
from console.terminal.last_lines import line_ended
from learner.store import EpisodeRecord, StoreReader

DEMO_PRESET = "demo"
READY_S = 120.0
REFRESH_S = 2.0
WINDOW_EPISODES = 20


def main(argv: list[str]) -> int:
    """Teach, evaluate, report. Ctrl+C ends any phase with a report of what there is."""
    settings = load_settings(Settings, argv, DEMO_PRESET, "nudge demo")
    console = Console()
    _make_room(settings.folder, console)
    settings.folder.mkdir(parents=True)
    dump_settings(settings, settings.folder / SETTINGS_FILE)
    _introduce(settings, console)
    try:
        if settings.task.judge == "classifier" and settings.judge.classifier is None:
            from console.demo.classifier import make_classifier  # as below

            make_classifier(settings, console)
        teach_run(settings, console)
        _require_policy(settings)
        console.print(
            "[bold]evaluating[/] the policy alone: deterministic actions, no operator, judged by the simulator's truth"
        )
        from console.evaluation.main import evaluate  # takes seconds to import, and is wanted only now

        evaluate(settings, console)
    finally:
        _report(settings, console)
    return 0


def _make_room(folder: Path, console: Console) -> None:
    """Runs are never overwritten: an earlier one of this name moves aside."""
    if not folder.exists():
        return
    number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.{n}").exists())
    aside = folder.rename(folder.with_name(f"{folder.name}.{number}"))
    console.print(f"the earlier run of this name is now {aside}")


def _introduce(settings: Settings, console: Console) -> None:
    console.print(
        f"[bold]nudge demo[/]: preset {settings.preset_name}, seed {settings.seed}, "
        f"up to {settings.loop.max_env_steps} steps, into {settings.folder}"
    )
    lines = paper_deviations(settings)
    if lines:
        console.print(f"{len(lines)} settings differ from HIL-SERL's own:", *(f"  {line}" for line in lines), sep="\n")


def teach_run(settings: Settings, console: Console) -> None:
    """Run learner and actor until the actor has spent its steps; stops both on every way out.

    The settings are read from the run's folder. A run that has been taught goes on. Raises `ConsoleError`.
    """
    preset = ["--preset", str(settings.folder / SETTINGS_FILE)]
    with Child("learner", ["learner", *preset, "--service.port", "0"], settings.folder / "learner.log") as learner:
        address = _wait_until_ready(learner, settings.folder / READY_FILE)
        # The actor ends first: it delivers what it holds while the learner still listens.
        with Child("actor", ["actor", *preset, "--link.address", address], settings.folder / "actor.log") as actor:
            _watch(learner, actor, settings, console)
    if learner.status != 0:
        raise ConsoleError(
            f"learner: ended with status {learner.status}; the end of {learner.log}:\n{learner.last_lines()}"
        )


def _require_policy(settings: Settings) -> None:
    if not (settings.folder / POLICY_FILE).is_file():
        raise ConsoleError(
            f"loop.max_env_steps: got {settings.loop.max_env_steps}, and the {settings.loop.demo_episodes} "
            "demonstrations that were asked for left none of them to train with; ask for more steps, or for fewer "
            "loop.demo_episodes"
        )


def _wait_until_ready(learner: Child, ready: Path) -> str:
    """The learner's address, once it listens."""
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        if ready.is_file():
            return str(json.loads(ready.read_text())["address"])
        if learner.status is not None:
            break
        time.sleep(0.1)
    raise ConsoleError(f"learner: it did not start; the end of {learner.log}:\n{learner.last_lines()}")


def _watch(learner: Child, actor: Child, settings: Settings, console: Console) -> None:
    """Show where the run stands until the actor is done."""
    start_s = time.monotonic()
    with (
        StoreReader(settings.folder / STORE_FILE, settings.contract) as store,
        line_ended(console),
        Live(console=console, refresh_per_second=2) as live,
    ):
        while actor.status is None:
            if learner.status is not None:
                raise ConsoleError(
                    f"learner: ended with status {learner.status} while the actor was running; the end of "
                    f"{learner.log}:\n{learner.last_lines()}"
                )
            live.update(_progress(store.episodes(), settings, time.monotonic() - start_s))
            time.sleep(REFRESH_S)
        live.update(_progress(store.episodes(), settings, time.monotonic() - start_s))
    if actor.status != 0:
        raise ConsoleError(f"actor: ended with status {actor.status}; the end of {actor.log}:\n{actor.last_lines()}")


def _progress(episodes: list[EpisodeRecord], settings: Settings, elapsed_s: float) -> Table:
    done = [episode for episode in episodes if episode.complete]
    online = [episode for episode in done if episode.kind == "online"]
    env_steps = sum(episode.steps for episode in episodes)
    recent = online[-WINDOW_EPISODES:]
    table = Table(box=None, show_header=False, pad_edge=False)
    if url := dashboard_url(settings.folder):
        table.add_row("dashboard", url)
    table.add_row("time", f"{elapsed_s / 60:.1f} min")
    table.add_row("steps", f"{env_steps} of {settings.loop.max_env_steps}")
    table.add_row("demonstrations", f"{len(done) - len(online)} of {settings.loop.demo_episodes}")
    table.add_row("episodes", str(len(online)))
    if recent:
        alone = running_average([e.success and e.human_steps == 0 for e in online], WINDOW_EPISODES)[-1]
        human = sum(episode.human_steps for episode in recent) / sum(episode.steps for episode in recent)
        table.add_row("success alone", f"{alone:.0%} of the last {len(recent)}")
        table.add_row("by the operator", f"{human:.0%} of their steps")
    return table


def _report(settings: Settings, console: Console) -> None:
    report = report_run(settings)
    if report.autonomous_success is not None:
        console.print(
            f"[bold]autonomous success {report.autonomous_success:.1%}[/] of {report.trials} trials "
            f"(95 % interval {report.wilson_low:.1%} to {report.wilson_high:.1%}) after {report.env_steps} steps, "
            f"{report.robot_time_s / 60:.1f} min of robot time, {report.wall_s / 60:.1f} min in all"
        )
    console.print(f"report: {settings.folder / 'report.html'}")
