"""The two kinds of protocol error: theirs is counted and kept, ours crashes."""


class RemoteProtocolError(Exception):
    """What the peer sent breaks the protocol; `reason` is a stable, countable word.

    The server keeps such a message in quarantine and goes on.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class LocalProtocolError(Exception):
    """Our own code asked for something the protocol has no word for: always a bug."""
