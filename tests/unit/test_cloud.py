"""What the package promises to those who import it."""

import subprocess
import sys


def test_importing_it_does_not_import_openstacksdk() -> None:
    code = "import sys, ovs_pathfinder.cloud; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    loaded = set(done.stdout.split())
    assert "ovs_pathfinder" in loaded
    assert loaded.isdisjoint({"openstack", "keystoneauth1", "requests"})
