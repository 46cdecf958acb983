import base64
import pathlib

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.command import keeping
from ovs_pathfinder.evidence import record

RUN, UNIT = "20261122t160851-64e743", "ovs-pathfinder/0"


def captured(pcap: str, *, packets: int = 1, device: str = "o-hm0") -> record.Captures:
    one = record.Capture(point="source-port", device=device, packets=packets, pcap=pcap)
    return record.Captures(captures=(one,))


def test_packets_become_a_file_for_each_place(tmp_path: pathlib.Path):
    captures = keeping.Captures(tmp_path / "new" / "folder")

    captures.keep(RUN, UNIT, captured(base64.b64encode(b"packets").decode()))

    (file,) = captures.files
    assert file == tmp_path / "new" / "folder" / f"{RUN}-ovs-pathfinder_0-source-port-o-hm0.pcap"
    assert file.read_bytes() == b"packets"


def test_no_name_of_a_device_leads_out_of_the_folder(tmp_path: pathlib.Path):
    captures = keeping.Captures(tmp_path)

    captures.keep(RUN, UNIT, captured("AAAA", device="../../etc/passwd"))

    assert captures.files[0].parent == tmp_path


def test_place_without_packets_has_no_file(tmp_path: pathlib.Path):
    captures = keeping.Captures(tmp_path / "none")

    captures.keep(RUN, UNIT, captured("", packets=0))

    assert captures.files == []
    assert not captures.folder.exists()


def test_what_is_no_capture_is_told_in_a_sentence(tmp_path: pathlib.Path):
    with pytest.raises(errors.PathfinderError, match=r"the capture at source-port in the answer of .* is not base64"):
        keeping.Captures(tmp_path).keep(RUN, UNIT, captured("?"))


def test_folder_that_is_a_file_is_told_in_a_sentence(tmp_path: pathlib.Path):
    (tmp_path / "file").touch()

    with pytest.raises(errors.PathfinderError, match="cannot be written: "):
        keeping.Captures(tmp_path / "file").keep(RUN, UNIT, captured("AAAA"))
