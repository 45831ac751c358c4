"""Datasets to and from the Hugging Face Hub, by LeRobot's own way: a tag for the layout, a card, all files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demos.errors import ExchangeRefused
from demos.lerobot_folder import LeRobotFolder, require_lerobot
from demos.lerobot_format import SESSION, contract_in
from demos.sessions import shared_session
from policy.durable import appearing_folder


def push_dataset(folder: Path, repo_id: str, *, private: bool = True) -> None:
    """Upload a dataset to `repo_id` ("owner/name"), made if it is not there; visible to its owner only if `private`.

    Raise `ExchangeRefused` for a dataset with true ids of sessions in it, and when the Hub does not take it.
    """
    _require_shareable(LeRobotFolder(folder))
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    with _translated(f"{folder}: not uploaded to {repo_id}"):
        LeRobotDataset(repo_id, root=folder, video_backend="pyav").push_to_hub(private=private)


def pull_dataset(repo_id: str, folder: Path, revision: str | None = None) -> None:
    """Download a dataset into a new folder, which appears whole or not at all.

    revision: a branch, tag or commit; None takes the newest that LeRobot can read
    Raise `ExchangeRefused` when `folder` exists, and when the Hub does not give it.
    """
    if folder.exists():
        raise ExchangeRefused(f"{folder}: there is such a folder, and a download never overwrites; give another path")
    require_lerobot()
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    with _translated(f"{repo_id}: not downloaded"), appearing_folder(folder) as partial:
        LeRobotDataset(repo_id, root=partial, revision=revision, video_backend="pyav")


def _require_shareable(dataset: LeRobotFolder) -> None:
    if contract_in(dataset.features, str(dataset.folder)) is None:
        return
    for place in range(dataset.episodes):
        session = dataset.columns(place)[SESSION][0]
        if shared_session(session) != session:
            raise ExchangeRefused(
                f"{dataset.folder}: it has true ids of sessions, and who knows one can speak for its actor; export it "
                f"again without keep_sessions before it leaves this machine"
            )


@contextmanager
def _translated(consequence: str) -> Iterator[None]:
    """What goes wrong between here and the Hub, as ours."""
    from httpx import HTTPError
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (HTTPError, HFValidationError, OSError) as error:  # OSError: no network, offline mode, no token
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ExchangeRefused(
            f"{consequence}: {reason}; is there a network, do the name and the token (`hf auth login`) hold?"
        ) from error
