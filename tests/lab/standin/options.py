"""Juju's command line: options anywhere, values apart or joined, durations in Go's notation."""

import dataclasses
import re

from . import errors

EVERYWHERE = {
    "--model": True,
    "-m": True,
    "--model-file": True,
    "-o": True,
    "--output": True,
    "--format": True,
    "-B": False,
    "--no-browser-login": False,
    "--color": False,
    "--no-color": False,
    "--utc": False,
    "--quiet": False,
    "--verbose": False,
    "--debug": False,
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


@dataclasses.dataclass
class Options:
    """A parsed command line."""

    values: dict[str, str]
    arguments: list[str]

    def get(self, *names: str) -> str | None:
        """Return the value of an option under any of its names."""
        return next((self.values[name] for name in names if name in self.values), None)

    def flag(self, name: str) -> bool:
        """Tell whether a boolean option is set."""
        return self.values.get(name, "false").lower() in {"", "true", "t", "1"}

    def format(self, default: str, *allowed: str) -> str:
        """Return the output's format."""
        chosen = self.values.get("--format", default)
        if chosen not in {default, *allowed}:
            raise errors.UsageError(f'invalid value "{chosen}" for option --format: unknown format "{chosen}"')
        return chosen


def parse(arguments: list[str], known: dict[str, bool], model_file: str | None = None) -> Options:
    """Separate options from arguments; `--` ends the options.

    Args:
        arguments: The command line after the command's name.
        known: The command's own options, and whether each takes a value.
        model_file: The model file given before the command's name.

    """
    every = {**EVERYWHERE, **known}
    found = Options({"--model-file": model_file} if model_file else {}, [])
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            found.arguments.extend(rest)
            break
        if not argument.startswith("-") or argument == "-":
            found.arguments.append(argument)
            continue
        name, equals, text = argument.partition("=")
        if name not in every:
            raise errors.UsageError(f"option provided but not defined: {name}")
        if every[name] and not equals:
            text = next(rest, "")
            if not text:
                raise errors.UsageError(f"option needs an argument: {name}")
        found.values[name] = text
    return found


def seconds(text: str, option: str) -> float:
    """Read a duration such as `90s` or `1m30s`."""
    negative, rest = text.startswith("-"), text.lstrip("+-")
    parts = _PART.findall(rest)
    if rest == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise errors.UsageError(f'invalid value "{text}" for option {option}: time: invalid duration "{text}"')
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return -total if negative else total
