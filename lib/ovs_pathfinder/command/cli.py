"""The command line: what can be typed, and how each command ends.

Exit status: 0 the path is ok, 1 it is broken or degraded, 2 it cannot be told, 3 something is wrong with what was typed
or with the environment, 130 interrupted. What costs much to import is imported by the command that needs it.
"""

import dataclasses
import importlib.metadata
import io
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from .. import errors, text

if TYPE_CHECKING:
    from ..report import outcome, render
    from . import engine, juju, view

OK, BROKEN, UNKNOWN, WRONG, INTERRUPTED = 0, 1, 2, 3, 130
APPLICATION = "ovs-pathfinder"
FORMATS = ("text", "markdown", "html", "json", "junit")
TRIALS = ("ask", "auto", "flows", "port-security", "none")

Function = TypeVar("Function", bound=Callable[..., Any])
Value = TypeVar("Value")


@dataclasses.dataclass
class Common:
    """What every command that asks Juju is told."""

    juju: str = ""
    model: str = ""
    application: str = APPLICATION
    quiet: bool = False
    debug: bool = False
    """Is looked up again where an error is met that nobody expected."""


@dataclasses.dataclass
class Output:
    """Where the report goes, and in which form, and where the captured packets go."""

    format: str = "text"
    output: str = ""
    captures: str = ""


@dataclasses.dataclass
class Given:
    """All options that several commands share."""

    common: Common = dataclasses.field(default_factory=Common)
    packets: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """What is sent, as far as it was said."""
    output: Output = dataclasses.field(default_factory=Output)

    def settings(self) -> "engine.Settings":
        """Return what the engine is told of the packets.

        Raises:
            UsageError: Two of them do not go together.
        """
        from . import engine

        found = engine.Settings(**self.packets)
        if found.port is None and found.protocol != "icmp":
            raise click.UsageError(f"--protocol {found.protocol} needs --port")
        if found.port is not None and found.protocol == "icmp":
            raise click.UsageError("--port goes with --protocol tcp or udp")
        return found


def _shared(part: str, *options: tuple[tuple[str, ...], dict[str, Any]]) -> Callable[[Function], Function]:
    """Return a decorator that gives a command some options, whose values go into a part of `Given`."""

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if not parameter.name or value is None:
            return
        kept = getattr(context.ensure_object(Given), part)
        if isinstance(kept, dict):
            kept[parameter.name] = value
        else:
            setattr(kept, parameter.name, value)

    def decorate(function: Function) -> Function:
        for names, more in reversed(options):
            function = click.option(*names, expose_value=False, callback=keep, **more)(function)
        return function

    return decorate


def _choice(words: Sequence[str]) -> click.Choice[str]:
    return click.Choice(words, case_sensitive=False)


def _file(value: str) -> str:
    """Return the name of a file that is written at the end; refuse, before any work is done, what could not be."""
    place = pathlib.Path(value)
    if place.is_dir():
        raise click.UsageError(f"{value} cannot be written: it is a folder")
    if not place.exists() and not place.parent.is_dir():
        raise click.UsageError(f"{value} cannot be written: there is no folder {place.parent}")
    _check_writable(value, place if place.exists() else place.parent)
    return value


def _folder(value: str) -> str:
    """Return the name of a folder that is written into, and made where it is missing, with those above it."""
    place = next(one for one in (pathlib.Path(value), *pathlib.Path(value).absolute().parents) if one.exists())
    if not place.is_dir():
        raise click.UsageError(f"{value} cannot be written: {place} is no folder")
    _check_writable(value, place)
    return value


def _check_writable(value: str, place: pathlib.Path) -> None:
    if not os.access(place, os.W_OK):
        raise click.UsageError(f"{value} cannot be written: {place} is not writable by this user")


common_options = _shared(
    "common",
    (("--model", "-m"), {"metavar": "MODEL", "help": "The Juju model, as `juju --model` takes it."}),
    (("--application",), {"metavar": "NAME", "help": f"The charm's application; default {APPLICATION}."}),
    (("--juju",), {"metavar": "PATH", "help": "The Juju client; default $JUJU, else juju on the PATH."}),
    (("--quiet", "-q"), {"is_flag": True, "default": None, "help": "Show no progress."}),
    (("--debug",), {"is_flag": True, "default": None, "help": "Show where an error came from."}),
)
packet_options = _shared(
    "packets",
    (("--protocol",), {"type": _choice(("icmp", "tcp", "udp")), "help": "What is sent; default icmp."}),
    (("--port",), {"type": click.IntRange(1, 65535), "help": "Destination port of tcp and udp."}),
    (("--count",), {"type": click.IntRange(1, 200), "help": "How many packets are sent; default 5."}),
    (("--interval",), {"type": click.FloatRange(0.05, 5), "help": "Seconds between two packets; default 0.2."}),
    (("--size",), {"type": click.IntRange(32, 8952), "help": "Bytes of payload of an ICMP packet; default 56."}),
    (("--wait",), {"type": click.FloatRange(0, 60), "help": "Seconds that two units wait for each other; default 10."}),
    (
        ("--patience",),
        {
            "type": click.FloatRange(1, 3600),
            "help": "Seconds that an action may take beyond what it sends and waits for; default 60.",
        },
    ),
)
output_options = _shared(
    "output",
    (("--format", "-f"), {"type": _choice(FORMATS), "help": "The form of the report; default text."}),
    (("--output", "-o"), {"metavar": "FILE", "type": _file, "help": "Write the report into a file."}),
)
captures_option = _shared(
    "output",
    (
        ("--captures",),
        {
            "metavar": "FOLDER",
            "type": _folder,
            "help": "Write the packets that were captured into a folder.",
        },
    ),
)


def _version() -> str:
    try:
        return importlib.metadata.version("ovs-pathfinder")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version(), message="%(version)s")
@common_options
@click.pass_context
def main(context: click.Context) -> None:
    """Find where packets die between two ports of an OpenStack cloud, through the units of ovs-pathfinder.

    Exit status: 0 the path is ok, 1 broken or degraded, 2 it cannot be told, 3 something is wrong with what was typed
    or with the environment, 130 interrupted.
    """
    context.ensure_object(Given)


@main.command()
@click.argument("source")
@click.argument("destination")
@click.option(
    "--trial",
    type=_choice(TRIALS),
    default="ask",
    show_default=True,
    help="Which trial is made where packets are lost: the one that the report calls for (ask before, or auto), a "
    "certain one, or none. Where nobody can be asked, ask is none.",
)
@packet_options
@output_options
@captures_option
@common_options
@click.pass_obj
def trace(given: Given, source: str, destination: str, trial: str) -> int:
    """Find out where packets stop between two ports.

    SOURCE is a unit of Octavia (octavia/2), a port's name or id, or an address; DESTINATION is the same, or a server or
    an amphora.
    """
    from ..report import outcome
    from . import engine, juju

    settings = given.settings()
    client = _client(given.common)

    async def work(by: "engine.Engine", shown: "view.Silent") -> "outcome.Outcomes":
        pair = engine.Pair(source, destination)
        try:
            found = await by.trace(pair, settings, cast("engine.Trial", trial), shown.confirm)
        except juju.ActionFailed as failure:
            unknown = await _unknown_units(client, given.common.application, pair)
            raise errors.PathfinderError(f"{failure}{unknown}") from failure
        return outcome.Outcomes(paths=(found,))

    return _told(given, _with_engine(given, work, client))


async def _unknown_units(client: "juju.Juju", application: str, pair: "engine.Pair") -> str:
    """Name the units that there are, where an end of a path is called as a unit is, and is none; else nothing."""
    from . import juju, printed

    if not any(map(printed.is_target, (pair.source, pair.destination))):
        return ""
    try:
        known = [one.principal for one in await client.units(application)]
    except juju.JujuError:
        return ""
    unknown = [one for one in (pair.source, pair.destination) if printed.is_target(one) and one not in known]
    return f"; {unknown[0]} has no unit of {application} beside it, {', '.join(known)} have" if unknown else ""


@main.command(short_help="Trace from every unit of Octavia to every amphora.")
@click.option("--source", "sources", multiple=True, metavar="UNIT", help="Sweep from this unit of Octavia alone.")
@click.option("--status", default="", help="Sweep amphorae of this status alone, such as BOOTING.")
@click.option("--loadbalancer", default="", metavar="NAME", help="Sweep amphorae of this load balancer alone.")
@click.option("--network", default="", metavar="NAME", help="Sweep every port of a network instead of amphorae.")
@click.option(
    "--jobs", type=click.IntRange(1, 12), default=6, show_default=True, help="How many paths are traced at once."
)
@packet_options
@output_options
@captures_option
@common_options
@click.pass_obj
def sweep(given: Given, sources: tuple[str, ...], status: str, loadbalancer: str, network: str, jobs: int) -> int:
    """Trace from every unit of Octavia to every amphora, and report on each path that is not ok."""
    from . import sweep as sweep_

    settings = given.settings()
    if network and (status or loadbalancer):
        raise click.UsageError("--network goes with neither --status nor --loadbalancer, which choose amphorae")
    client = _client(given.common)

    async def find(by: "engine.Engine", shown: "view.Silent") -> list[sweep_.Job]:
        units = await client.units(given.common.application)
        chosen = sweep_.sources(units, sources)
        asked = sweep_.beside(units)
        wanted = {"status": status, "loadbalancer": loadbalancer, "limit": sweep_.LISTED, "format": "json"}
        action, params = (
            ("find-port", {"what": network, "format": "json"}) if network else ("list-amphorae", _without_empty(wanted))
        )
        answer = await by.client.run(asked, action, params, within=sweep_.LIST)
        for note in sweep_.notes(answer):
            shown.say(note)
        return sweep_.jobs(chosen, sweep_.ports(answer, network) if network else sweep_.destinations(answer))

    wanted = _with_engine(given, find, client)
    if not wanted:
        raise errors.PathfinderError("there is nothing to sweep: no amphora and no port was found")

    async def work(by: "engine.Engine", shown: "view.Silent") -> "outcome.Outcomes":
        by.turns.aliases = sweep_.aliases(await client.units(given.common.application), by.leader)
        return await sweep_.Sweep(by, settings, jobs).run(wanted)

    return _told(given, _with_engine(given, work, client, total=len(wanted)))


@main.command(name="list")
@click.option("--status", default="", help="Only amphorae of this status, such as BOOTING.")
@click.option("--loadbalancer", default="", metavar="NAME", help="Only amphorae of this load balancer.")
@click.option("--format", "-f", "form", type=_choice(("text", "json")), default="text", show_default=True)
@common_options
@click.pass_obj
def list_(given: Given, status: str, loadbalancer: str, form: str) -> int:
    """List what can be traced: the units of Octavia, and the amphorae."""
    from . import engine
    from . import sweep as sweep_
    from . import view as view_

    client = _client(given.common)

    async def work(by: "engine.Engine", shown: "view.Silent") -> str:
        units = await client.units(given.common.application)
        params = _without_empty({"status": status, "loadbalancer": loadbalancer})
        if form == "json":
            params["format"] = "json"
        answer = await by.client.run(sweep_.beside(units), "list-amphorae", params, within=sweep_.LIST)
        if form == "json":
            return engine.result(answer, "answer") + "\n"
        sources = ", ".join(one.principal for one in units if one.is_octavia) or "no unit of Octavia has the charm"
        return f"Sources: {sources}\n\n{engine.result(answer, 'report')}"

    view_.show(_with_engine(given, work, client))
    return OK


@main.command(short_help="Report on a run that was made before.")
@click.argument("run")
@output_options
@common_options
@click.pass_obj
def report(given: Given, run: str) -> int:
    """Report on a run that was made before, as far as its evidence is still there."""
    from ..report import outcome

    async def work(by: "engine.Engine", shown: "view.Silent") -> "outcome.Outcomes":
        return outcome.Outcomes(paths=(await by.report(run),))

    return _told(given, _with_engine(given, work))


def _complete_codes(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    from ..diagnosis import codes

    return [one for one in codes.MEANINGS if one.startswith(text.lower())]


@main.command(short_help="Say what a diagnosis means, and what to do.")
@click.argument("code", required=False, shell_complete=_complete_codes)
def explain(code: str | None) -> int:
    """Say what a diagnosis means, and what to do; without CODE, name them all."""
    import difflib
    import textwrap

    from ..diagnosis import codes

    if code is None:
        width = max(map(len, codes.MEANINGS))
        for name, one in codes.MEANINGS.items():
            text = textwrap.fill(one.meaning, 80 - width - 2, break_on_hyphens=False)
            click.echo(f"{name:{width}}  {text}".replace("\n", "\n" + " " * (width + 2)))
        return OK
    code = code.lower()
    if code not in codes.MEANINGS:
        near = difflib.get_close_matches(code, codes.MEANINGS, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`ovs-pathfinder explain` names them all"
        raise click.UsageError(f"there is no diagnosis {code!r}; {hint}")
    found = codes.MEANINGS[code]
    click.echo(textwrap.fill(f"{code}: {found.meaning}", 80, break_on_hyphens=False))
    for one in found.next:
        click.echo(textwrap.fill(one, 80, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False))
    return OK


@main.command(name="clean-up", short_help="Undo what is left of temporary changes.")
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@click.option("--dry-run", is_flag=True, help="Say what would be undone, and change nothing.")
@common_options
@click.pass_obj
def clean_up(given: Given, units: tuple[str, ...], dry_run: bool) -> int:
    """Undo what is left of temporary changes, on some units of ovs-pathfinder or on all."""
    import asyncio

    from . import view as view_

    client = _client(given.common)

    async def on(by: "engine.Engine", unit: str) -> tuple[str, bool]:
        try:
            answer = await by.clean_up(unit, dry_run=dry_run)
        except errors.PathfinderError as error:
            return f"{unit}: {error}", False
        told = (answer.results.get(key, "") for key in ("summary", "undone", "conflicts", "found", "others", "latest"))
        lines = "\n    ".join(line for text in told for line in text.splitlines())
        return f"{answer.unit}: {lines}", True

    async def work(by: "engine.Engine", shown: "view.Silent") -> list[tuple[str, bool]]:
        known = [one.name for one in await client.units(given.common.application)]
        if unknown := [one for one in units if one not in known]:
            raise errors.PathfinderError(
                f"{unknown[0]!r} is no unit of {given.common.application}; there are {', '.join(known)}"
            )
        names = units or known
        return list(await asyncio.gather(*(on(by, name) for name in names)))

    answers = _with_engine(given, work, client)
    for told, is_done in answers:
        if is_done:
            view_.show(f"{told}\n")
        else:
            view_.complain(told)
    return OK if all(is_done for _, is_done in answers) else WRONG


def _without_empty(params: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value}


def _client(common: Common) -> "juju.Juju":
    from . import juju

    return juju.Juju(common.juju, common.model)


def _with_engine(
    given: Given,
    work: "Callable[[engine.Engine, view.Silent], Coroutine[Any, Any, Value]]",
    client: "juju.Juju | None" = None,
    *,
    total: int = 1,
) -> Value:
    """Do some work with an engine, show its progress, and leave nothing behind where it is interrupted."""
    import asyncio

    from . import engine, interruption, keeping, view

    asked = client or _client(given.common)
    captures = keeping.Captures(pathlib.Path(given.output.captures)) if given.output.captures else None

    async def guarded(shown: view.Silent) -> Value:
        by = engine.Engine(asked, given.common.application, shown.tell, keep=captures.keep if captures else None)
        try:
            return await interruption.guarded(by, work(by, shown), shown.say, shown.withdraw)
        finally:
            for file in captures.files if captures else ():
                shown.say(f"captured: {file}")

    with view.watching(total, quiet=given.common.quiet) as shown:
        return asyncio.run(guarded(shown))


def _told(given: Given, found: "outcome.Outcomes") -> int:
    """Write a report where it is wanted, and return the exit status that stands for it."""
    from ..report import render
    from . import view

    text = render.document(found, cast("render.Form", given.output.format))
    if given.output.output:
        try:
            pathlib.Path(given.output.output).write_text(text, encoding="utf-8")
        except OSError as error:
            view.show(text)
            runs = ", ".join(one.plan.run for one in found.paths if one.plan) or "without a run"
            raise errors.PathfinderError(
                f"{given.output.output} cannot be written ({error.strerror}), so the report is on stdout; "
                f"`ovs-pathfinder report` tells it again: {runs}"
            ) from error
    else:
        view.show(text)
    return {"ok": OK, "degraded": BROKEN, "broken": BROKEN, "cannot-tell": UNKNOWN}[found.worst]


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command, and exit as it should: errors are sentences, never tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(status(arguments))


def status(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        found: Any = main.main(words or ["--help"], prog_name="ovs-pathfinder", standalone_mode=False)
    except click.ClickException as error:
        _complain(error.format_message())
        return WRONG
    except errors.PathfinderError as error:
        _complain(str(error))
        return WRONG
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        return _unexpected(error, "--debug" in words)
    return found if isinstance(found, int) else OK


def _unexpected(error: Exception, is_shown: bool) -> int:
    from . import interruption

    if isinstance(error, interruption.Interrupted):
        for sentence in error.sentences:
            print(text.plain(sentence), file=sys.stderr)
        return INTERRUPTED
    if is_shown:
        raise error
    _complain(f"it met an error of its own ({type(error).__name__}: {error}); please report it with what --debug shows")
    return WRONG


def _complain(sentence: str) -> None:
    print(text.plain(f"ovs-pathfinder: {' '.join(sentence.split())}"), file=sys.stderr)
