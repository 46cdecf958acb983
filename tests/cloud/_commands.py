"""Run several command lines of one program, one after the other, with its modules imported once.

`/usr/bin/python3 _commands.py MODULE '[["db", "sync"], …]'`, where MODULE has a `main`. It runs on the system's Python,
whose modules are the cloud's.
"""

import importlib
import json
import os
import sys


def main() -> None:
    """Run each in a process of its own; stop at the first that fails."""
    module = importlib.import_module(sys.argv[1])
    for words in json.loads(sys.argv[2]):
        child = os.fork()
        if not child:
            sys.argv = [sys.argv[1], *words]
            sys.exit(module.main())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            sys.exit(f"{sys.argv[1]} {words}: exit status {status}")


if __name__ == "__main__":
    main()
