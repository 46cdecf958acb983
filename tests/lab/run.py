"""Labs for engineers: `python -m tests.lab.run up` keeps one alive, `faults` lists what can be broken."""

import argparse
import signal
import sys

from . import faults, hosts, ownership

_HELP = """\
lab {name} is up in {directory}
  source       {octavia}
  destination  {compute}
  probe        ping -n {address}
  cloud        {cloud}
  model        {model}
  fault        {fault}
Ctrl-C ends it."""


def _enter(lab: hosts.Lab, key: str) -> str:
    host = lab.hosts[key]
    settings = [f"{name}={value}" for name, value in host.env.items()]
    return " ".join([*host.enter, "env", *settings, "bash"])


def _up(options: argparse.Namespace) -> None:
    with hosts.Lab.start(
        tunnel=options.tunnel,
        ip=options.ip,
        l2population=not options.no_l2population,
        same_host=options.same_host,
        guests=options.guests,
        trunk=options.trunk,
    ) as lab:
        lab.warm_up()
        faults.load(options.fault).inject(lab)
        print(
            _HELP.format(
                name=lab.name,
                directory=lab.directory,
                octavia=_enter(lab, "octavia"),
                compute=_enter(lab, "compute"),
                address=lab.address,
                cloud=lab.cloud_url or "none",
                model=lab.write_model(lab.directory / "model.yaml"),
                fault=options.fault,
            ),
            flush=True,
        )
        while True:
            signal.pause()


def _list(_: argparse.Namespace) -> None:
    for name in faults.names():
        truth = faults.load(name).TRUTH
        where = f"{truth.hop}, {truth.direction}" if truth.hop else "nowhere"
        print(f"{name:32} {truth.verdict:9} {truth.code:26} {where:34} {faults.summary(name)}")


def _sweep(_: argparse.Namespace) -> None:
    for name in ownership.sweep():
        print(f"swept {name}")


def main() -> int:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.run", description=__doc__)
    commands = parser.add_subparsers(required=True)
    up = commands.add_parser("up", help="start a lab and keep it until Ctrl-C")
    up.add_argument("--tunnel", choices=("gre", "vxlan"), default="gre")
    up.add_argument("--ip", type=int, choices=(4, 6), default=6)
    up.add_argument("--no-l2population", action="store_true")
    up.add_argument("--same-host", action="store_true")
    up.add_argument("--trunk", action="store_true", help="put the guest behind a subport")
    up.add_argument("--guests", type=int, choices=(1, 2), default=1)
    up.add_argument("--fault", choices=faults.names(), default="none", metavar="FAULT", help="see `faults`")
    up.set_defaults(action=_up)
    commands.add_parser("faults", help="list the faults").set_defaults(action=_list)
    commands.add_parser("sweep", help="remove the labs of dead owners").set_defaults(action=_sweep)
    options = parser.parse_args()
    try:
        options.action(options)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
