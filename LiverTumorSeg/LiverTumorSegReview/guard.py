"""Who may open the page: whoever has the link's token, and one reader at a time."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable

from wslink.websocket import LinkProtocol

RELOAD_S = 3.0
"""A tab that is loaded again asks before its old connection has ended: the place is waited for this long."""


class Guard(LinkProtocol):
    """Asked by the web socket before a client may see or change anything.

    Parameters
    ----------
    token : str
        The link's; compared in constant time.
    on_left : callable
        Called when the reader's connection ends: a closed tab, a lost network.
    """

    def __init__(self, token: str, on_left: Callable[[], None]) -> None:
        super().__init__()
        self._token, self._on_left = token, on_left
        self._reader: str | None = None

    async def validateToken(self, token: str, client_id: str) -> bool:  # noqa: N802  # the name wslink calls
        """Let a client in that has the token, unless another one is reading."""
        if not hmac.compare_digest(str(token).encode(), self._token.encode()):
            return False
        asked = time.monotonic()
        while self._reader not in (None, client_id):
            if time.monotonic() - asked > RELOAD_S:
                return False
            await asyncio.sleep(RELOAD_S / 30)
        self._reader = client_id
        return True

    def onClose(self, client_id: str) -> None:  # noqa: N802  # the name wslink calls
        """Free the place when the reader is gone."""
        if client_id == self._reader:
            self._reader = None
            self._on_left()
