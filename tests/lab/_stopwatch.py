"""Run a command and append to a file how long it took: `python _stopwatch.py FILE COMMAND…`, for the benchmark."""

import os
import subprocess
import sys
import time


def main() -> int:
    """Run, measure, note."""
    began = time.monotonic()
    status = subprocess.run(sys.argv[2:], check=False).returncode
    with open(sys.argv[1], "a") as notes:  # noqa: PTH123 - pathlib's import would cost what is measured
        notes.write(f"{os.environ.get('JUJU_DISPATCH_PATH', '?')} {time.monotonic() - began:.3f}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
