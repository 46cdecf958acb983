"""How long, how many, how large: the types of all fields that travel between units.

Another unit can write anything, so every number, string, list and mapping of a wire model has bounds: give a new field
one of the types below (`name: bounds.Word = ""`, `seen: bounds.Count = 0`, `lines: bounds.Lines = ()`), or bound it in
place with `pydantic.Field(ge=…, le=…, max_length=…)`. `tests/unit/test_bounds.py` walks the models and names each field
without bounds.

Texts that this host's own tools print may be longer than a type allows: `Line` and `Text` cut them and say so. All else
refuses what is beyond the bounds; whoever fills such a field from a tool's output must keep within them.
"""

import datetime
from typing import Annotated, Any, TypeVar

import pydantic

_CUT = " [shortened]"
_LINE, _TEXT = 16_000, 200_000
_YEARS = range(1970, 3000)
"""What datetime can turn into seconds on every platform."""

Word = Annotated[str, pydantic.StringConstraints(max_length=255)]
"""A name, an address, a state, a version."""


def _cut(longest: int) -> pydantic.BeforeValidator:
    def cut(value: Any) -> Any:
        return value[: longest - len(_CUT)] + _CUT if isinstance(value, str) and len(value) > longest else value

    return pydantic.BeforeValidator(cut)


Line = Annotated[str, _cut(_LINE), pydantic.StringConstraints(max_length=_LINE)]
"""A sentence, a command, a flow; cut where it is longer."""
Text = Annotated[str, _cut(_TEXT), pydantic.StringConstraints(max_length=_TEXT)]
"""What a tool printed; cut where it is longer."""
Lines = Annotated[tuple[Line, ...], pydantic.Field(max_length=2_000)]
Words = Annotated[tuple[Word, ...], pydantic.Field(max_length=2_000)]

Count = Annotated[int, pydantic.Field(ge=0, le=2**64 - 1)]
"""Of a counter of Open vSwitch or the kernel, which have 64 bits."""
Packets = Annotated[int, pydantic.Field(ge=0, le=100_000)]
"""Packets of one probe; an action sends 200 at the most, and a point may see others that look alike."""
Identities = Annotated[
    tuple[Annotated[str, pydantic.StringConstraints(max_length=32)], ...], pydantic.Field(max_length=100_000)
]
"""Names of packets."""
Key = Annotated[int, pydantic.Field(ge=0, le=2**64 - 1)]
"""Of a tunnel (`tun_id` has 64 bits)."""
Vlan = Annotated[int, pydantic.Field(ge=0, le=4095)]
Ofport = Annotated[int, pydantic.Field(ge=-1, le=2**32 - 1)]
"""An OpenFlow port; -1 where the switch could not open the device."""
Table = Annotated[int, pydantic.Field(ge=0, le=255)]
Priority = Annotated[int, pydantic.Field(ge=0, le=65535)]
Port = Annotated[int, pydantic.Field(ge=1, le=65535)]
"""Of TCP or UDP."""
Bytes = Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)]
"""A length, such as an MTU."""
Seconds = Annotated[float, pydantic.Field(ge=0, le=1_000_000, allow_inf_nan=False)]

Value = TypeVar("Value")
Few = Annotated[tuple[Value, ...], pydantic.Field(max_length=200)]
"""Things of which there are a handful: `Few[Trace]`."""
Many = Annotated[tuple[Value, ...], pydantic.Field(max_length=20_000)]
"""Things of which there may be thousands: `Many[Step]`."""
ByWord = Annotated[dict[Word, Value], pydantic.Field(max_length=2_000)]
"""A mapping from names: `ByWord[Count]`."""


def _moment(value: str) -> str:
    """Return a time that can be compared with others; Python 3.10 reads no `Z`."""
    known = value.removesuffix("Z") + "+00:00" if value.endswith("Z") else value
    if datetime.datetime.fromisoformat(known).year not in _YEARS:
        raise ValueError(f"the year of {value!r} is out of range")
    return known


Moment = Annotated[str, pydantic.StringConstraints(max_length=64), pydantic.AfterValidator(_moment)]
"""A time in ISO 8601, as `datetime.isoformat` writes it."""
