"""What was written is on the disk, and a new file or folder is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policy.step_schema import StoreError


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def appearing(target: Path, made_by: str) -> Iterator[Path]:
    """Where to write a file that gets its name when the block ends; when an exception leaves it there is none.

    made_by: for errors, `an export`
    Raise `StoreError` where there is such a file already, or by then.
    """
    if target.exists():
        raise StoreError(f"{target}: there is such a file, and {made_by} never overwrites; give another path")
    workshop = target.with_name(f".{target.name}.partial")
    shutil.rmtree(workshop, ignore_errors=True)  # of one that was killed
    workshop.mkdir(parents=True)
    try:
        yield workshop / target.name
        try:
            os.link(workshop / target.name, target)  # unlike a rename, it refuses to replace
        except FileExistsError as error:
            raise StoreError(f"{target}: a file of that name has appeared meanwhile; give another path") from error
        fsync(target.parent)
    finally:
        shutil.rmtree(workshop)


@contextmanager
def appearing_folder(target: Path) -> Iterator[Path]:
    """Where to make a folder that gets its name when the block ends; when an exception leaves it there is none.

    It is the caller's to refuse a target that exists, and to make the folder that this gives.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
    try:
        yield partial
        for path in (*partial.rglob("*"), partial):
            fsync(path)
        partial.rename(target)
        fsync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
