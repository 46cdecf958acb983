"""What ovs-vswitchd writes into its log (ovs-vswitchd(8)): warnings and errors since a moment."""

import os
import pathlib
import re

from .. import errors, files

_LINE = re.compile(r"^\S+\|\d+\|[^|]*\|(?P<level>WARN|ERR|EMER)\|")
_MOST_BYTES = 256 * 1024
_MOST_LINES = 20
_LONGEST = 400


def file() -> pathlib.Path:
    """Return where the log is; packages keep it in /var/log/openvswitch."""
    return pathlib.Path(os.environ.get("OVS_LOGDIR", "/var/log/openvswitch")) / "ovs-vswitchd.log"


class Mark:
    """A place in the log, behind which new lines are looked for."""

    def __init__(self, log: pathlib.Path | None = None) -> None:
        self._log = log or file()
        self._identity, self._size = self._about()

    def _about(self) -> tuple[int, int]:
        try:
            found = self._log.stat()
        except OSError:
            return 0, 0
        return found.st_ino, found.st_size

    def since(self) -> tuple[str, ...]:
        """Return the warnings and errors written since, the first 20, each cut at 400 characters.

        A log that was rotated meanwhile is read from its beginning.

        Raises:
            PathfinderError: The log cannot be read, so that nothing is known of what ovs-vswitchd has written.
        """
        identity, size = self._about()
        start = self._size if identity == self._identity and size >= self._size else 0
        try:
            with files.open_regular(self._log) as stream:
                stream.seek(start)
                text = stream.read(_MOST_BYTES).decode(errors="replace")
        except OSError as error:
            raise errors.PathfinderError(f"{self._log} could not be read: {error.strerror or error}") from error
        found = [line[:_LONGEST] for line in text.splitlines() if _LINE.match(line)]
        return tuple(found[:_MOST_LINES])
