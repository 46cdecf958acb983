"""Files on the side of whoever asks: the packets that units captured."""

import base64
import binascii
import dataclasses
import pathlib
import re

from .. import errors
from ..evidence import record

_STRANGE = re.compile(r"[^A-Za-z0-9_.-]")


def file_name(text: str) -> str:
    """Return a text as a name for a file: what others call their devices or ports leads out of no folder."""
    return _STRANGE.sub("_", text)


@dataclasses.dataclass
class Captures:
    """A folder for capture files; it is made when the first comes."""

    folder: pathlib.Path
    files: list[pathlib.Path] = dataclasses.field(default_factory=list[pathlib.Path])
    """What was written, in the order of coming."""

    def keep(self, run: str, unit: str, found: record.Captures) -> None:
        """Write a file for each capture that holds packets.

        Raises:
            PathfinderError: One cannot be written, or is no capture.
        """
        for one in found.captures:
            if not one.packets:
                continue
            file = self.folder / f"{file_name('-'.join((run, unit, one.point, one.device)))}.pcap"
            try:
                content = base64.b64decode(one.pcap, validate=True)
                self.folder.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            except binascii.Error as error:
                raise errors.PathfinderError(
                    f"the capture at {one.point} in the answer of {unit} is not base64: its charm is of another "
                    "revision than this command"
                ) from error
            except OSError as error:
                raise errors.PathfinderError(f"{file} cannot be written: {error.strerror}") from error
            self.files.append(file)
