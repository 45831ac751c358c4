"""Packages that only some need, and that are asked for by an extra of the distribution."""

from __future__ import annotations

from importlib.util import find_spec

from console.errors import ConsoleError


class MissingExtra(ConsoleError):
    """A package that is not installed."""


def require_extra(who: str, module: str, extra: str) -> None:
    """Raise `MissingExtra` with how to get it, unless the module is there.

    who: what wants it, as the message begins
    """
    if find_spec(module) is None:
        # Without --inexact uv would take away what the other extras have brought.
        raise MissingExtra(
            f"{who} needs the package {module}, which is not installed; it comes with the extra `{extra}`. In Nudge's "
            f"folder: uv sync --inexact --extra {extra} (.uv/bin/uv where make has brought its own), or pip install "
            f"'.[{extra}]'"
        )
