"""Under which name a session leaves the machine that knows its secret."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("c9a5a3f4-0a51-4f0c-9b35-1d2c1f5e7a10")  # drawn once


def shared_session(session: str) -> str:
    """Another name for a session, the same each time: who knows the true one can speak for its actor.

    An actor draws a UUID of version 4; the name is one of version 5, made from it. It is its own name again, so that
    what was shared once keeps its name when it is shared on.
    returns: 32 lower-case hex digits
    """
    if uuid.UUID(session).version == 5:
        return session
    return uuid.uuid5(_NAMESPACE, session).hex
