"""Who may see the dashboard: on this machine everybody, beyond it whoever gives the token once."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from console.dashboard.settings import DashboardSettings
from policy.errors import SecurityError
from policy.key_files import is_loopback, load_token


@dataclass(frozen=True, slots=True)
class Access:
    """Whom to let in. token: None lets everybody in who can reach it, which is this machine alone"""

    token: str | None = field(repr=False)

    def fits(self, token: str) -> bool:
        """Whether this is the token."""
        return self.token is None or hmac.compare_digest(token.encode(), self.token.encode())


def load_access(settings: DashboardSettings) -> Access:
    """Read the token; raise `SecurityError` for one that is missing beyond loopback, or unfit."""
    if settings.token_file is None and not is_loopback(settings.host):
        raise SecurityError(
            f"dashboard.host: got {settings.host!r}, which others can reach; beyond loopback the dashboard needs a "
            f"token. Make one, and start again with it:\n"
            f"  nudge keys --host NAME_OR_ADDRESS_OF_THIS_MACHINE\n"
            f"  --dashboard.host {settings.host} --dashboard.token-file keys/token\n"
            f"or stay on 127.0.0.1 and come through an SSH tunnel (ssh -L)"
        )
    return Access(load_token(settings.token_file))
