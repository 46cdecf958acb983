"""The one place where processes are started: absolute paths, argument lists, time limits, no shell.

Every child is started through `setpriv --pdeathsig` (util-linux), because Juju cancels an action with SIGKILL of
the one Python process: a capture must not outlive it.

A command is either literals alone, or a `Command`, which keeps foreign text where no tool reads options. The checker of
types (pyright) refuses everything else.
"""

import contextlib
import copy
import fcntl
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, TypeAlias

from . import errors

if TYPE_CHECKING:
    from typing_extensions import LiteralString, Self

Word: TypeAlias = "LiteralString | tuple[LiteralString, str | float]"
"""A literal, or an option with its value, which the tool takes for one whatever it begins with: `("-i", device)`. Where
the option ends with `=`, the two are one argument: `("--timeout=", 5)`."""

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")
_PACKAGES = {
    "ovs-vsctl": "openvswitch-switch",
    "ovs-ofctl": "openvswitch-switch",
    "ovs-appctl": "openvswitch-switch",
    "tcpdump": "tcpdump",
    "ping": "iputils-ping",
    "ip": "iproute2",
}


class ProcessError(errors.PathfinderError):
    """A tool failed, with its command, its exit status and what it printed on stderr."""

    def __init__(self, command: Sequence[str], status: int | None, stdout: str, stderr: str) -> None:
        self.command = tuple(command)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        said = " ".join(stderr.split()) or " ".join(stdout.split()) or "no message"
        super().__init__(f"`{' '.join(command)}` {self._how()}: {said[:500]}")

    def _how(self) -> str:
        is_late = self.status in (None, -signal.SIGALRM)  # a tool of Open vSwitch ends so by its own --timeout
        return "took too long" if is_late else f"failed with exit status {self.status}"


class NotRunError(ProcessError):
    """A tool was not started, because it would have taken foreign text for something else."""

    def __init__(self, command: Sequence[str], why: str) -> None:
        super().__init__(command, None, "", why)

    def _how(self) -> str:
        return "was not run"


_ENDED_BY_DASHES = ("dpkg-query", "ovs-ofctl", "ping", "systemctl", "tcpdump")
"""Tools that look for options behind their operands, too, as getopt(3) does: `--` ends them."""
_ENDED_BY_OPERANDS = ("ip", "tc")
"""Tools that look for options in front of their first operand only, so that the others may begin with a dash."""


class Command:
    """A tool and its arguments: literals, and foreign text that the tool cannot take for an option.

    Foreign is what comes from a parameter, a database, a databag, the cloud or a file. It has two places: it is the
    value of an option, or an operand, which stands behind all options.
    """

    def __init__(self, fixed: "Sequence[Word]", *operands: str) -> None:
        """Put a command together.

        Args:
            fixed: The tool's bare name, options, and what else is known beforehand.
            operands: What they are about.
        """
        self.words: tuple[str, ...] = ()
        self._refusal = ""
        self._add(fixed, operands)

    def then(self, fixed: "Sequence[Word]", *operands: str) -> "Self":
        """Return a longer one, for a tool that takes several commands in a row, as ovs-vsctl does."""
        longer = copy.copy(self)
        longer._add(fixed, operands)
        return longer

    def check(self) -> None:
        """Make sure that it can be run.

        Raises:
            NotRunError: An operand begins with a dash, and the tool knows no way to keep it from being an option; or an
                argument holds a zero, which none can.
        """
        if self._refusal:
            raise NotRunError(self.words, self._refusal)

    def _add(self, fixed: "Sequence[Word]", operands: tuple[str, ...]) -> None:
        for word in fixed:
            if isinstance(word, str):
                self.words += (word,)
            elif word[0].endswith("="):
                self.words += (f"{word[0]}{_text(word[1])}",)
            else:
                self.words += (word[0], _text(word[1]))
        tool = self.words[0]
        if operands and tool in _ENDED_BY_DASHES:
            self.words += ("--",)
        elif tool not in _ENDED_BY_OPERANDS:
            for one in operands:
                if one.startswith("-"):
                    self._refusal = f"{tool} would take {one!r} for an option, as it begins with a dash"
        self.words += operands
        if any("\0" in word for word in self.words):
            self._refusal = "an argument cannot hold a zero byte"


def _text(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def find(tool: str) -> str:
    """Return the absolute path of a tool, or say which package has it."""
    found = shutil.which(tool, path=SEARCH_PATH)
    if found is None:
        package = _PACKAGES.get(tool, tool)
        raise errors.PathfinderError(
            f"{tool} is not installed on this host; install the package {package} and run this again"
        )
    return found


def environment() -> Mapping[str, str]:
    """Return what tools see of the environment: a fixed PATH and locale, and where Open vSwitch runs."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": SEARCH_PATH, "LC_ALL": "C", **kept}


_shared: set[int] = set()


@contextlib.contextmanager
def sharing(descriptor: int) -> Generator[None]:
    """Let the tools that `run` starts hold a descriptor too, for as long as the context lasts.

    A tool can outlive this process by a moment: the death signal comes to nothing where this process dies before
    setpriv has asked for it. A lock that the tool holds as well tells others that it is not over yet.
    """
    _shared.add(descriptor)
    try:
        yield
    finally:
        _shared.discard(descriptor)


def _argv(command: Command) -> list[str]:
    command.check()
    tool, *arguments = command.words
    return [find("setpriv"), "--pdeathsig", "KILL", "--", find(tool), *arguments]


def run(command: "Command | Sequence[LiteralString]", *, timeout: float = 5.0, input: str | None = None) -> str:
    """Run a tool to its end and return its stdout.

    Args:
        command: The tool's bare name and its arguments: literals, or a `Command`.
        timeout: Seconds after which the tool is killed.
        input: Text for its stdin; none by default.

    Raises:
        ProcessError: The tool exited with another status than 0, or took too long, or was not run.
        PathfinderError: The tool is not installed.
    """
    command = command if isinstance(command, Command) else Command(command)
    try:
        done = subprocess.run(  # noqa: S603
            _argv(command),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment(),
            pass_fds=tuple(_shared),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessError(command.words, None, "", f"no answer within {timeout:g} s") from error
    if done.returncode != 0:
        raise ProcessError(command.words, done.returncode, done.stdout, done.stderr)
    return done.stdout


class Running:
    """A tool that goes on until it ends by itself or is stopped.

    It ends with this process too, unless it has file capabilities, as ping has: give such a tool an end of its own.
    """

    def __init__(self, command: "Command | Sequence[LiteralString]") -> None:
        """Start it.

        Raises:
            NotRunError: The command cannot be run as it is.
            PathfinderError: The tool is not installed.
        """
        command = command if isinstance(command, Command) else Command(command)
        self.command = command.words
        self._popen = subprocess.Popen(  # noqa: S603
            _argv(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )

    @property
    def stdout(self) -> IO[bytes]:
        """The tool's stdout, unread."""
        assert self._popen.stdout is not None  # noqa: S101
        return self._popen.stdout

    @property
    def stderr(self) -> IO[bytes]:
        """The tool's stderr, unread."""
        assert self._popen.stderr is not None  # noqa: S101
        return self._popen.stderr

    @property
    def ended(self) -> bool:
        """Whether the tool has ended."""
        return self._popen.poll() is not None

    @property
    def status(self) -> int | None:
        """The tool's exit status; None while it runs."""
        return self._popen.poll()

    def stop(self, timeout: float = 1.0) -> None:
        """End the tool as Ctrl-C would, and kill it where that does not help within `timeout` seconds."""
        if not self.ended:
            self._popen.send_signal(signal.SIGINT)
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def ended_within(self, seconds: float) -> tuple[str, str] | None:
        """Wait so long for the tool's end; return what it printed on stdout and stderr, or None while it goes on."""
        try:
            out, err = self._popen.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:  # what has been read is kept for the next call
            return None
        return out.decode(errors="replace"), err.decode(errors="replace")

    def finish(self, timeout: float) -> tuple[str, str]:
        """Wait at most `timeout` seconds for the tool's end; return what it printed on stdout and stderr."""
        try:
            out, err = self._popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            out, err = self._popen.communicate()
        return out.decode(errors="replace"), err.decode(errors="replace")


class Outliving:
    """A Python module of this library that runs in a process of its own and goes on when this one is killed.

    Where systemd runs the host it is a transient service: Juju's agent takes its whole control group along when it
    restarts. Else it leads a session of its own. It is handed a pipe as its stdin, which ends when this process does.
    Where that ends before a message has come, it has begun too late, and must do nothing.
    """

    def __init__(self, module: str, name: str, message: str, *, ready: str, timeout: float = 15.0) -> None:
        """Start it, give it a message on its stdin, and wait until it prints `ready`.

        Args:
            module: The module's full name; it is run as `python -m`.
            name: Of the transient service.
            message: A line for its stdin, where secrets belong: the process list shows arguments, and a file stays.
            ready: The line that it prints once it can be relied on.
            timeout: Seconds to wait for that.

        Raises:
            ProcessError: It did not say so; if it has read the message all the same, its stdin has ended.
        """
        python = [sys.executable, "-m", module]
        if _is_run_by_systemd():
            try:
                self._begin(_service(name), python, message, ready, timeout)
                return
            except ProcessError as error:
                _cancel(name)
                # One that has its message, and late, takes this process for dead; there must be no second beside it.
                if not isinstance(error, _UnreadError):
                    raise
        self._begin([], python, message, ready, timeout)

    def _begin(self, starter: Sequence[str], python: Sequence[str], message: str, ready: str, timeout: float) -> None:
        line = message.encode() + b"\n"
        unread, pipe = os.pipe()
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, max(len(line), 4096))  # to write all must not wait for a reader
        self._pipe = open(pipe, "wb", buffering=0)  # noqa: PTH123, SIM115
        try:
            self._popen = subprocess.Popen(  # noqa: S603
                [*starter, *python],
                stdin=unread,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_python_environment(),
                cwd="/",
                start_new_session=True,
            )
            self._pipe.write(line)
            said = self._first_line(timeout)
            if said == ready:
                return
            self._pipe.close()
            # What comes back here nobody else can have read, and whoever begins after this reads nothing.
            kind = _UnreadError if os.read(unread, len(line)) == line else ProcessError
        finally:
            os.close(unread)
        self.release(1.0)
        status = self._popen.poll()
        if status is None:
            self._popen.kill()
            self._popen.wait()
        raise kind(python, status, said, f"it did not get ready within {timeout:g} s")

    def _first_line(self, timeout: float) -> str:
        assert self._popen.stdout is not None  # noqa: S101
        said, end = b"", time.monotonic() + timeout
        while b"\n" not in said and (left := end - time.monotonic()) > 0:
            if not select.select([self._popen.stdout], [], [], left)[0]:
                break
            more = os.read(self._popen.stdout.fileno(), 4096)
            if not more:
                break
            said += more
        return said.partition(b"\n")[0].decode(errors="replace")

    @property
    def pid(self) -> int:
        """The process that was started; under systemd, the one that waits for the service."""
        return self._popen.pid

    def release(self, timeout: float = 2.0) -> None:
        """End the pipe, as the end of this process would, and wait a little for its end."""
        self._pipe.close()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout)


class _UnreadError(ProcessError):
    """It did not get ready, and its message has been taken back, so that it never will."""


def _is_run_by_systemd() -> bool:
    """Whether systemd runs this host (sd_booted(3)) and can be asked for a service."""
    booted = pathlib.Path("/run/systemd/system").is_dir()
    return booted and shutil.which("systemd-run", path=SEARCH_PATH) is not None


def _service(name: str) -> list[str]:
    given = [f"--setenv={key}={value}" for key, value in _python_environment().items()]
    properties = [
        # Stopping goes the other way round: what it needs for an undo is still there when the host shuts down.
        "After=network.target openvswitch-switch.service ovs-vswitchd.service ovsdb-server.service",
        "KillMode=mixed",  # SIGTERM is not for the tools that it runs
        "TimeoutStopSec=60",
    ]
    return [
        find("systemd-run"),
        *("--quiet", "--collect", "--pipe", "--service-type=exec", f"--unit={name}", "--working-directory=/"),
        *(f"--property={one}" for one in properties),
        *given,
    ]


def _cancel(name: str) -> None:
    """Withdraw a service that systemd may still be about to start."""
    with contextlib.suppress(errors.PathfinderError):
        run(Command(["systemctl", "--no-block", "stop"], f"{name}.service"))


def _python_environment() -> Mapping[str, str]:
    """Return the environment of tools, and where Python finds what this process imports."""
    places = [str(pathlib.Path(one).absolute()) for one in sys.path]
    return {**environment(), "PYTHONPATH": os.pathsep.join(places)}
