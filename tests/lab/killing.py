"""Killing processes that make temporary changes, and looking whether anything is left of them."""

import abc
import contextlib
import itertools
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

import pydantic

from ovs_pathfinder import cloud
from ovs_pathfinder.temporary import clock, flows, journal, mirror, port_security, rule
from tests.lab import hosts, node, processes

LIMIT = 20.0
"""Seconds within which a guard must have done its work, on a host on which much else goes on."""
AT_ONCE = 4
"""How many changes are made side by side on a host, each with a journal of its own."""
_TABLES = ("Bridge", "Port", "Interface", "Mirror")
_COUNTING = "statistics"
"""The one column that ovs-vswitchd changes all the time."""


class Kind(abc.ABC):
    """A kind of temporary change on a host, as the kill test needs it."""

    modules: Sequence[str] = ()
    """What a process that makes it loads late, and so each one for itself."""
    credentials: cloud.Credentials | None = None

    def __init__(self, lab: hosts.Lab, key: str) -> None:
        self.lab = lab
        self.host: node.Host = lab.hosts[key]

    @abc.abstractmethod
    def change(self) -> journal.Kind:
        """Return such a change, which is like no other."""

    @abc.abstractmethod
    def picture(self) -> object:
        """Return the whole of what it could touch."""


class _OnSwitch(Kind):
    def picture(self) -> object:
        """Return all flows with cookies and timeouts, all rows of the database, and all devices."""
        flows_of = {bridge: sorted(self._flows(bridge)) for bridge in ("br-int", "br-tun")}
        return flows_of, self._rows(), self._devices()

    def _flows(self, bridge: str) -> list[str]:
        dump = ["ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "--no-names", "dump-flows", bridge]
        return self._run(dump).splitlines()

    def _rows(self) -> dict[str, list[dict[str, object]]]:
        commands = itertools.chain(*(("--", "list", table) for table in _TABLES))
        printed = self._run(["ovs-vsctl", "--timeout=5", "--no-wait", "--format=json", *commands])
        documents = [json.loads(line) for line in printed.splitlines()]
        return {
            table: sorted((_row(document["headings"], row) for row in document["data"]), key=lambda row: str(row))
            for table, document in zip(_TABLES, documents, strict=True)
        }

    def _devices(self) -> list[tuple[object, ...]]:
        printed = self._run(["ip", "-n", self.host.namespace, "-json", "link"])
        return sorted(tuple(device[key] for key in ("ifname", "mtu", "address")) for device in json.loads(printed))

    def _run(self, command: Sequence[str]) -> str:
        """Run a tool where this process is: to enter the namespace takes longer than what it does there."""
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", **self.host.env}
        return subprocess.run(
            command, env=environment, text=True, stdout=subprocess.PIPE, timeout=LIMIT, check=True
        ).stdout


def _row(headings: Sequence[str], cells: Sequence[object]) -> dict[str, object]:
    return {name: cell for name, cell in zip(headings, cells, strict=True) if name != _COUNTING}


class Flows(_OnSwitch):
    """Flows among Neutron's own."""

    rules = (
        "table=0,priority={0},icmp6,in_port=2,actions=NORMAL "
        "table=60,priority={0},icmp,actions=resubmit(,61) "
        "table=82,priority={0},udp6,tp_dst=5555,actions=NORMAL"
    )

    def __init__(self, lab: hosts.Lab, key: str) -> None:
        super().__init__(lab, key)
        self._priorities = itertools.count(20000)

    def change(self) -> journal.Kind:
        """Return three flows of three tables of br-int."""
        rules = rule.parse(self.rules.format(next(self._priorities)))
        return flows.Flows(bridge="br-int", cookie=flows.new_cookie(), rules=rules)


class Mirror(_OnSwitch):
    """Mirrors, each on a bridge of its own; one of them is of the tunnel's port."""

    def __init__(self, lab: hosts.Lab, key: str) -> None:
        super().__init__(lab, key)
        others = [(f"br-kill{number}", f"kill{number}") for number in range(2 * AT_ONCE - 1)]
        for bridge, port in others:
            settings = ["datapath_type=netdev", "fail_mode=secure"]
            add = ["--", "add-br", bridge, "--", "set", "Bridge", bridge, *settings]
            self.host.vsctl(*add, "--", "add-port", bridge, port, "--", "set", "Interface", port, "type=internal")
        self._places = itertools.cycle([("br-tun", lab.tunnel_port(key)), *others])

    def change(self) -> journal.Kind:
        """Return a mirror with a device of its own."""
        return mirror.new(*next(self._places))


class PortSecurity(Kind):
    """Port security of a port, of which Neutron has some for each host; the switch knows nothing of them."""

    update = "PUT network/v2.0/ports"
    """The boundary's name."""
    modules = ("openstack.connection", "openstack.network.v2._proxy", "keystoneauth1.identity.v3")

    def __init__(self, lab: hosts.Lab, key: str) -> None:
        super().__init__(lab, key)
        self.credentials = cloud.Credentials(
            auth_url=lab.cloud_url,
            username="ovs-pathfinder",
            password=pydantic.SecretStr("secret"),
            project="services",
            user_domain="default",
            project_domain="default",
            region="RegionOne",
        )
        names = [f"{number:08x}-{key}" for number in range(8 * AT_ONCE)]
        lab.description["ports"] += [{**lab.port("source"), "id": name} for name in names]
        lab.write_description()
        self._ports = itertools.cycle(names)

    def change(self, seen: clock.Moment = clock.Moment()) -> journal.Kind:  # noqa: B008 - it is frozen
        """Return the change for a port as it is, read so long ago that no update can still be on its way."""
        now = self._described()[next(self._ports)]
        before = port_security.Security(
            enabled=now["port_security_enabled"],
            security_groups=tuple(now["security_groups"]),
            address_pairs=tuple(
                port_security.AddressPair(mac=pair["mac_address"], address=pair["ip_address"])
                for pair in now["allowed_address_pairs"]
            ),
            revision=now["revision_number"],
        )
        return port_security.PortSecurity(port=now["id"], label=self.host.site.key, before=before, seen=seen)

    def picture(self) -> object:
        """Return all that Neutron says of the ports but the count and the time of their updates."""
        counting = ("revision_number", "updated_at")
        mine = (port for name, port in self._described().items() if name.endswith(self.host.site.key))
        return [{key: value for key, value in port.items() if key not in counting} for port in mine]

    def delay(self, change: journal.Kind, seconds: float) -> None:
        """Let Neutron take its time for the first update of the change's port, and make it then."""
        assert isinstance(change, port_security.PortSecurity)
        file = self.lab.directory / "cloud.json"
        late = {"service": "network", "path": change.port, "method": "PUT", "times": 1, "effect": "after"}
        fresh = file.with_suffix(".fresh")
        fresh.write_text(json.dumps({**json.loads(file.read_text()), "failures": [{**late, "delay": seconds}]}))
        fresh.replace(file)

    def _described(self) -> dict[str, dict[str, Any]]:
        """Read the ports where the cloud's stand-in takes its answers from."""
        described = json.loads((self.lab.directory / "cloud.json").read_text())
        return {port["id"]: port for port in described["ports"]}


class Way(list[str]):
    """The names of the boundaries that a change passes."""

    def number(self, name: str, after: str = "") -> int:
        """Return the number of the first boundary whose name begins so, after another one."""
        start = self.index(after) if after else 0
        return next(number for number, each in enumerate(self) if number >= start and each.startswith(name))

    @property
    def changing(self) -> range:
        """The boundaries between which there is a change, or may be one."""
        return range(self.number("before make"), self.number("after closing the entry"))


class Killed:
    """A process that makes a change, from the outside."""

    def __init__(self, book: journal.Journal) -> None:
        self.book = book
        self.events: list[dict[str, Any]] = []
        self.news: queue.Queue[dict[str, Any]] = queue.Queue()
        """Events that nobody has waited for yet."""

    def wait_for(self, name: str) -> dict[str, Any]:
        """Return the first event of that name that has not been waited for yet.

        Raises:
            AssertionError: The process ended, or nothing was heard of it for long.
        """
        while True:
            try:
                event = self.news.get(timeout=3 * LIMIT)
            except queue.Empty:
                raise AssertionError(f"no {name!r} from the process; heard: {self.events}") from None
            self.events.append(event)
            if event["event"] == name:
                return event
            if event["event"] == "ended":
                raise AssertionError(f"the process ended before {name!r}: {self.events}")

    def heard(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a name, of those that have been waited for."""
        return [event for event in self.events if event["event"] == name]

    @property
    def pid(self) -> int:
        """The process."""
        (started,) = self.heard("started") or [self.wait_for("started")]
        return started["pid"]

    @property
    def guard(self) -> int:
        """The guard's process; waits until the process has seen it ready."""
        (guarded,) = self.heard("guarded") or [self.wait_for("guarded")]
        return guarded["pid"]

    @property
    def boundaries(self) -> list[str]:
        """The names of the boundaries that were reached."""
        return [event["name"] for event in self.heard("at")]

    def wait_for_stop(self, number: int) -> None:
        """Wait until the process has stopped itself at a boundary."""
        while self.wait_for("at")["number"] != number:
            pass
        stat = pathlib.Path(f"/proc/{self.pid}/stat")
        processes.wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the process stops")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def kill(self) -> bool:
        """Kill it from outside; return whether it was alive."""
        identity = processes.Identity.of(self.pid)
        if identity:
            identity.kill()
        return self.ended()

    def ended(self) -> bool:
        """Wait for its end; return whether it was killed."""
        return self.wait_for("ended")["killed"]

    @property
    def last_moment(self) -> float:
        """When the last event happened, by the monotonic clock."""
        return self.events[-1]["moment"]


class Zygote:
    """The library in a process on a host, which forks processes that make changes."""

    def __init__(self, kind: Kind) -> None:
        """Start it; the kernel ends it with the thread that does so."""
        self.kind = kind
        self.host = kind.host
        self.state = kind.host.directory / "state" / type(kind).__name__
        self._runs: list[Killed] = []
        self._lock = threading.Lock()
        environment = [f"{name}={value}" for name, value in self.host.env.items()]
        command = [*self.host.enter, "env", *environment, "setpriv", "--pdeathsig", "KILL", "--"]
        self._popen = subprocess.Popen(
            [*command, sys.executable, "-m", "tests.lab._killed", *kind.modules],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=hosts.CHECKOUT,
            env={"PYTHONPATH": "lib:src:.", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._stdout = self._popen.stdout
        assert self._stdout is not None
        if json.loads(self._stdout.readline())["event"] != "ready":
            raise RuntimeError("the process that forks others did not start")
        self._reader.start()
        self.usual = set(self.running())
        """The processes of this host that belong to nobody's change."""

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait(timeout=LIMIT)
        self._reader.join(timeout=LIMIT)
        assert self._stdout is not None
        self._stdout.close()
        for one in set(self.running()) - self.usual:
            one.kill()

    def start(
        self,
        change: journal.Kind | None = None,
        *,
        do: str = "change",
        seconds: float = 60.0,
        plan: dict[int, str] | None = None,
        state: str = "",
        setpriv: str = "",
    ) -> Killed:
        """Let a process make a change; threads may share this.

        Args:
            change: What; a new one of this zygote's kind by default.
            do: `change` for a moment, `leave`, or `sweep`.
            seconds: How long the change may live; of a sweep, how long it waits for the lock.
            plan: At which boundaries it is to `die` or to `stop`.
            state: The name of its journal; one of its own by default.
            setpriv: What to use in the place of setpriv.
        """
        credentials = self.kind.credentials
        with self._lock:
            run = len(self._runs)
            killed = Killed(journal.Journal(self.state / (state or f"of-{run}")))
            self._runs.append(killed)
            given = {
                "run": run,
                "do": do,
                "journal": str(killed.book.directory),
                "change": (change or self.kind.change()).model_dump(mode="json") if do != "sweep" else None,
                "credentials": credentials
                and {**credentials.model_dump(), "password": credentials.password.get_secret_value()},
                "seconds": seconds,
                "plan": plan or {},
                "setpriv": setpriv,
            }
            assert self._popen.stdin is not None
            self._popen.stdin.write(json.dumps(given) + "\n")
            self._popen.stdin.flush()
        return killed

    def sweep(self, book: journal.Journal) -> dict[str, Any]:
        """Sweep up what was left behind, as any action does first."""
        sweeping = self.start(do="sweep", seconds=3.0, state=book.directory.name)
        done = sweeping.wait_for("done")
        sweeping.ended()
        return done

    def running(self) -> list[processes.Identity]:
        """Return the processes that see this host's switch: daemons, guards, tools; not those that make changes."""
        mark = f"OVS_RUNDIR={self.host.env['OVS_RUNDIR']}".encode()
        found: list[processes.Identity | None] = []
        for place in pathlib.Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # it has ended, or is just ending
                marked = mark in place.read_bytes().split(b"\0")
                if marked and b"tests.lab._killed" not in (place.parent / "cmdline").read_bytes().split(b"\0"):
                    found.append(processes.Identity.of(int(place.parent.name)))
        return [one for one in found if one]

    def wait_for_guards(self, killed: Sequence[Killed]) -> list[float]:
        """Wait until no guard and no tool is left running; return how long it took to close each entry, if it was."""
        delays: dict[int, float] = {}
        guards = [each["pid"] for one in killed for each in one.heard("guarded")]

        def is_quiet() -> bool:
            for number, one in enumerate(killed):
                if number not in delays and one.book.is_empty():
                    delays[number] = time.monotonic() - one.last_moment
            # To look at all processes takes long.
            return not any(map(processes.Identity.of, guards)) and not set(self.running()) - self.usual

        where = self.host.site.key
        processes.wait_until(is_quiet, f"the guards and the tools on {where} end", limit=LIMIT, interval=0.02)
        return [delays.get(number, 0.0) for number in range(len(killed))]

    def _read(self) -> None:
        assert self._stdout is not None
        for line in self._stdout:
            event = cast(dict[str, Any], json.loads(line))
            run: int = event["run"]
            self._runs[run].news.put(event)
