"""Who may open the page: whoever has the link's token, and one reader at a time."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from wslink.websocket import LinkProtocol


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
        if self._reader not in (None, client_id):
            return False
        self._reader = client_id
        return True

    def onClose(self, client_id: str) -> None:  # noqa: N802  # the name wslink calls
        """Free the place when the reader is gone."""
        if client_id == self._reader:
            self._reader = None
            self._on_left()
