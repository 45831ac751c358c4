"""The `nudge` command: finds the verb, and imports nothing heavier than that before it is known."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from importlib.metadata import version

from policy.errors import NudgeError

DISTRIBUTION = "nudge-so101"


@dataclass(frozen=True, slots=True)
class Verb:
    """What `nudge NAME` runs: `function(argv)` of `module`, imported only then.

    The function takes the arguments after the verb and returns the exit status; None is 0.
    """

    help: str
    module: str
    function: str = "main"


VERBS: dict[str, Verb] = {
    "demo": Verb("teach the simulated arm with a scripted operator, evaluate, and leave a report", "console.demo.main"),
    "learner": Verb("start the learner: the service that stores experience and trains", "console.learner"),
    "actor": Verb("start the actor: the control loop of one arm", "console.actor"),
    "dashboard": Verb("a run in the browser, while it learns and afterwards", "console.dashboard.main"),
    "tell": Verb("tell an actor or the learner something: pause, success, stop, checkpoint", "console.tell"),
    "record": Verb("record demonstrations without a learner, check them, make a demo set", "console.record"),
    "demos": Verb("list demo sets, show one, check demonstrations, make a set of them", "console.demos.main"),
    "eval": Verb("evaluate a policy on the grid, where nobody helps it", "console.evaluation.main"),
    "checkpoint": Verb("list the checkpoints of a run and how they did, roll back to one", "console.checkpoints"),
    "compare": Verb(
        "two runs or checkpoints side by side: is one of them better, and by how much?", "console.compare.main"
    ),
    "coach": Verb("what a run says of how it is taught: what to do otherwise, and why", "console.coach.main"),
    "report": Verb("write report.json and report.html of a run anew", "console.report.main"),
    "mirror": Verb("send a run's curves to wandb or trackio, what they do not have yet", "console.mirror.main"),
    "doctor": Verb("before the first run: will this station work?", "console.doctor.main"),
    "rehearse": Verb("try out leader arm, gamepad or keyboard: each axis, the takeover", "console.rehearse"),
    "calibrate": Verb("calibrate follower and leader as LeRobot does, and check the result", "console.calibrate"),
    "virtual": Verb("serve a virtual SO-101 to any program that drives a real one", "console.virtual"),
    "crop": Verb("choose which region of a camera the policy sees, in the browser or by numbers", "console.crop.main"),
    "gamepad": Verb("what a gamepad says and would do, live; which are there; map an odd one", "console.gamepad.main"),
    "workspace": Verb(
        "the box that the demonstrations of a run ask for, beside the configured one", "console.workspace"
    ),
    "classifier": Verb(
        "label frames, train a reward classifier, watch it judge, let another one follow", "console.classifier.main"
    ),
    "store": Verb("look into an experience store, check it, copy it, prune it", "console.store.main"),
    "export": Verb("write experience as a dataset of LeRobot's, and upload it", "console.exchange", "export"),
    "import": Verb("make experience of a dataset of LeRobot's, ours or an SO-101's", "console.exchange", "import_"),
    "replay": Verb("an episode in the browser beside what the policy would do, or on an arm", "console.replay.main"),
    "train-bc": Verb("clone the operator's behaviour: the bar that a run has to beat", "console.train_bc"),
    "pretrain": Verb("pretrain the encoder on randomised simulated frames", "console.pretrain.main"),
    "keys": Verb("make certificates, keys and a token, for a learner on another machine", "console.keys"),
    "selftest": Verb("check the simulated scene: contacts, reach, scripted pick", "console.selftest"),
}

USAGE = """\
usage: nudge [--help] [--version] VERB [--preset NAME_OR_PATH] [--section.name value ...]

Teach an SO-101 arm by demonstrations and brief takeovers.

verbs:
{verbs}

options:
  -h, --help     this text; `nudge VERB --help` lists the settings of a verb
  --version      the version
  --debug        show where an error was raised (NUDGE_DEBUG=1 does the same)
"""


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit status.

    argv: arguments after `nudge`; None takes the process's own
    0: done. 1: a `NudgeError`, told in a paragraph on stderr. 2: the command line is wrong. 130: Ctrl+C. 141: a
    pipe broke.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or os.environ.get("NUDGE_DEBUG", "") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"nudge {version(DISTRIBUTION)}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, n=1)
        meant = f"Did you mean `nudge {close[0]}`?" if close else f"There are: {', '.join(VERBS)}."
        print(f"nudge: there is no verb {name!r}. {meant}", file=sys.stderr)
        return 2
    return run_verb(VERBS[name], rest, debug)


def run_verb(verb: Verb, argv: list[str], debug: bool = False) -> int:
    """Run a verb and turn what ends it into an exit status."""
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")  # draw without a screen; the processes that a verb starts inherit it
    try:
        from console.guard import require_own_rooms

        require_own_rooms()
        status = getattr(importlib.import_module(verb.module), verb.function)(argv)
    except NudgeError as error:
        if debug:
            traceback.print_exc()
        print_error(str(error))
        return 1
    except BrokenPipeError:
        # `nudge demo --help | head`: the reader has seen enough. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        print("nudge: stopped by Ctrl+C", file=sys.stderr)
        return 130
    return int(status or 0)


def print_error(message: str) -> None:
    """One red paragraph on stderr; plain where that is no terminal, or NO_COLOR is set."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    start, end = ("\033[31m", "\033[0m") if coloured else ("", "")
    print(f"{start}nudge: {message}{end}", file=sys.stderr)


def usage() -> str:
    """The text of `nudge --help`."""
    width = max(map(len, VERBS))
    return USAGE.format(verbs="\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items()))


if __name__ == "__main__":
    sys.exit(main())
