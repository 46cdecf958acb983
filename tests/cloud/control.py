"""The control plane in one namespace: database, queue, the services' schemas, and the services."""

import contextlib
import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from tests.lab import node, processes, topology

from . import api, settings

PYTHON = "/usr/bin/python3"
"""The one that has the cloud's modules."""
ISOLATED = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Whatever a daemon starts ends with it."""
_HERE = pathlib.Path(__file__).parent
_START = "import importlib, sys; sys.exit(importlib.import_module(sys.argv.pop(1)).main())"
_DATABASES = ("keystone", "neutron", "nova", "nova_api", "nova_cell0", "placement", "octavia")
_LIMIT = 180.0
"""Seconds that a step may take on a busy machine."""


class Control:
    """The control plane; what it starts ends with its node's group."""

    def __init__(self, where: node.Node, tunnel: topology.NetworkType, tell: Callable[[str], None]) -> None:
        self._where = where
        self._tunnel: topology.NetworkType = tunnel
        self._tell = tell
        self._home = where.directory
        self._socket = self._home / "mariadb.sock"
        self._configurations: dict[str, pathlib.Path] = {}
        self._schemas: dict[str, subprocess.Popen[str]] = {}

    def start(self) -> None:
        """Start the database and the queue, and write all schemas at once; `serve` goes on."""
        self._where.start("epmd", "epmd")
        self._start_database()
        self._start_queue()
        self._configure()
        processes.wait_until(self._answers, "MariaDB", limit=_LIMIT, interval=0.05)
        self._sql(*(f"CREATE DATABASE {name} CHARACTER SET utf8mb3" for name in _DATABASES))
        self._tell("database")
        self._write_schemas()

    def serve(self) -> None:
        """Start each service as soon as its schema is written; `wait_for` waits for one."""
        starts = {
            "keystone": self._start_keystone,
            "neutron": self._start_neutron,
            "placement": self._start_placement,
            "nova": self._start_nova,
            "octavia": self._start_octavia,
        }
        while self._schemas:
            for name, child in list(self._schemas.items()):
                if child.poll() is not None:
                    self._check(name, child)
                    del self._schemas[name]
                    starts[name]()
            time.sleep(0.02)

    def wait_for(self, service: str) -> None:
        """Wait until a service listens."""
        processes.wait_until(
            lambda: api.listens(self._where.namespace, service), f"the {service} service", limit=_LIMIT, interval=0.05
        )
        self._tell(f"{service} listens")

    def add_amphorae(self, project: str, amphorae: Sequence[topology.Interface]) -> None:
        """Write the rows that Octavia's worker would: a load balancer that is being made, and its amphorae."""
        balancer = {
            "id": "0f5b2d6e-9a44-4f6b-8f55-3d1f9a0c7a11",
            "project_id": project,
            "name": "lb1",
            "provisioning_status": "PENDING_CREATE",
            "operating_status": "OFFLINE",
            "enabled": 1,
            "topology": "ACTIVE_STANDBY",
            "provider": "amphora",
        }
        rows = [_insert("load_balancer", balancer)]
        for each in amphorae:
            row = {
                "id": each.amphora,
                "load_balancer_id": balancer["id"],
                "compute_id": each.server,
                "status": "BOOTING",
                "role": each.role,
                "lb_network_ip": each.address6,
                "cert_busy": 0,
            }
            rows.append(_insert("amphora", row))
        self._sql("USE octavia", *rows)

    def _start_database(self) -> None:
        """Start MariaDB without its own tables, without TCP, and without waiting for the disk."""
        (self._home / "mariadb").mkdir()
        self._where.start(
            "mariadb", "mariadbd", "--no-defaults", "--user=root", f"--datadir={self._home}/mariadb",
            f"--socket={self._socket}", f"--pid-file={self._home}/mariadb.pid", "--skip-networking",
            "--skip-grant-tables", "--performance-schema=off", "--max-connections=500",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync",
        )  # fmt: skip

    def _start_queue(self) -> None:
        home = self._home / "rabbitmq"
        home.mkdir()
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {topology.CONTROL_ADDRESS}:5672\nloopback_users = none\nlog.file = false\n"
            "log.console = true\n"
        )
        environment = {
            "HOME": home,
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_CONFIG_FILE": home / "rabbitmq.conf",
            "RABBITMQ_MNESIA_BASE": home / "db",
            "RABBITMQ_LOG_BASE": home / "log",
            "RABBITMQ_PID_FILE": home / "pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": home / "plugins",
            "RABBITMQ_ALLOW_INPUT": "1",  # the Erlang machine in the place of the script
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -noinput",
        }
        words = [f"{key}={value}" for key, value in environment.items()]
        self._where.start("rabbitmq", *ISOLATED, "env", *words, "/usr/lib/rabbitmq/bin/rabbitmq-server")

    def _configure(self) -> None:
        found = {
            "keystone": settings.keystone(self._home, self._socket),
            "neutron": settings.neutron(self._home, self._socket, self._tunnel),
            "placement": settings.placement(self._home, self._socket),
            "nova": settings.nova(self._home, self._socket),
            "octavia": settings.octavia(self._home, self._socket),
        }
        for name, sections in found.items():
            self._configurations[name] = settings.write(self._home / name / f"{name}.conf", sections)

    def _write_schemas(self) -> None:
        url = api.endpoint("identity")
        account = ["--bootstrap-username", api.USER, "--bootstrap-password", api.PASSWORD]
        account += ["--bootstrap-project-name", api.PROJECT, "--bootstrap-region-id", api.REGION]
        account += [f"--bootstrap-{each}-url={url}" for each in ("internal", "public")]
        cell0 = settings.database(self._socket, "nova_cell0")
        self._commands("keystone", "keystone.cmd.manage", ["db_sync"], ["bootstrap", *account])
        self._commands("neutron", "neutron.db.migration.cli", ["upgrade", "heads"])
        self._commands(
            "nova",
            "nova.cmd.manage",
            ["api_db", "sync"],
            ["cell_v2", "map_cell0", "--database_connection", cell0],
            ["db", "sync"],
            ["cell_v2", "create_cell", "--name", "cell1"],
        )
        self._commands("placement", "placement.cmd.manage", ["db", "sync"])
        self._commands("octavia", "octavia.db.migration.cli", ["upgrade", "head"])

    def _commands(self, name: str, module: str, *lines: Sequence[str]) -> None:
        """Start the command lines that write a service's schema."""
        words = [["--config-file", str(self._configurations[name]), *line] for line in lines]
        program = str(_HERE / "_commands.py")
        self._schemas[name] = self._where.start(f"{name}-schema", *ISOLATED, PYTHON, program, module, json.dumps(words))

    def _check(self, name: str, child: "subprocess.Popen[str]") -> None:
        if child.returncode:
            log = (self._home / f"{name}-schema.log").read_text()[-2000:]
            raise RuntimeError(f"the schema of {name} could not be written: {log}")
        self._tell(f"{name} has its schema")

    def _start_keystone(self) -> None:
        self._publish()
        self._serve_application("keystone", "keystone.server.wsgi", "initialize_public_application", "identity")

    def _publish(self) -> None:
        """Add the other services to the catalogue, before any asks for it: some end when they are not in there."""
        rows: list[str] = []
        for kind in set(api.PORTS) - {"identity"}:
            names = json.dumps({"name": kind})
            rows.append(_insert("service", {"id": kind, "type": kind, "enabled": 1, "extra": names}))
            for interface in ("internal", "public"):
                row = {
                    "id": f"{kind}-{interface}",
                    "interface": interface,
                    "service_id": kind,
                    "url": api.endpoint(kind),
                    "extra": "{}",
                    "enabled": 1,
                    "region_id": api.REGION,
                }
                rows.append(_insert("endpoint", row))
        self._sql("USE keystone", *rows)

    def _start_placement(self) -> None:
        self._serve_application("placement", "placement.wsgi", "init_application", "placement")

    def _serve_application(self, name: str, module: str, factory: str, service: str) -> None:
        variable = f"OS_{name.upper()}_CONFIG_DIR={self._home / name}"
        where = [topology.CONTROL_ADDRESS, str(api.PORTS[service][0])]
        self._where.start(name, "env", variable, PYTHON, str(_HERE / "_serve.py"), module, factory, *where)

    def _start_neutron(self) -> None:
        self._daemon("neutron-server", "neutron.cmd.eventlet.server", "neutron")

    def _start_octavia(self) -> None:
        self._daemon("octavia-api", "octavia.cmd.api", "octavia")

    def _start_nova(self) -> None:
        self.wait_for("identity")  # its scheduler asks for the catalogue at once, and ends where there is none
        for name, module in (("api", "api_os_compute"), ("conductor", "conductor"), ("scheduler", "scheduler")):
            self._daemon(f"nova-{name}", f"nova.cmd.{module}", "nova")
        where = [topology.CONTROL_ADDRESS, str(api.PORTS["image"][0])]
        self._where.start("glance", PYTHON, str(_HERE / "_image.py"), *where)

    def _daemon(self, name: str, module: str, service: str) -> None:
        start(self._where, name, module, self._configurations[service])

    def _sql(self, *statements: str) -> None:
        words = ["mariadb", "--no-defaults", "-S", str(self._socket)]
        self._where.run(*words, text_in=";\n".join(statements), timeout=_LIMIT)

    def _answers(self) -> bool:
        with contextlib.suppress(RuntimeError):
            self._sql("SELECT 1")
            return True
        return False


def _insert(table: str, row: Mapping[str, object]) -> str:
    values = ", ".join(f"'{value}'" for value in row.values())
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"  # noqa: S608 - nothing comes from outside


def start(where: node.Node, name: str, module: str, configuration: pathlib.Path) -> "subprocess.Popen[str]":
    """Start a daemon of OpenStack from the module that has its `main`."""
    words = ["env", f"TMPDIR={where.directory}", PYTHON, "-c", _START, module, "--config-file", str(configuration)]
    return where.start(name, *ISOLATED, *words)
