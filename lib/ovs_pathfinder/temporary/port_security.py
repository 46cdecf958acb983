"""Port security off: in Neutron, in one update that is conditional on the port's revision, and back in another.

Neutron ends nothing by itself, so all rests on the undo. It decides by what Neutron shows, never by what was sent: what
is as before is left, what is off is put back, and anything else belongs to others. Each update names the revision that
was read (`If-Match`), so that none can overwrite what others did in between.

One thing Neutron cannot show: an update without an answer that it still works on. While such a one may come, a port
that is as before does not count as undone. So the undo moves the revision on, which keeps the update from beginning,
and looks once more after a while, since one that has begun may end all the same: of two updates at once that name one
revision Neutron 21 may take both.
"""

import time
from typing import Annotated, Literal

import pydantic

from .. import cloud, errors, path, words
from ..cloud import connection, neutron
from . import change, clock

SETTLED = 30.0
"""Seconds after the reading of a port for which an update that got no answer may still come."""
BEGUN = 3.0
"""Seconds that an update which has begun is given to end, once the revision has moved on; half a second was seen."""
_LOOKS = 6
"""How often an undo looks at a port that changes while it is looked at, as by the agent's word on its status."""


class AddressPair(path.Model):
    """An allowed address pair, letter by letter as Neutron has it."""

    mac: str
    address: str

    def __str__(self) -> str:
        return f"{self.address} with {self.mac}"


class Security(path.Model):
    """What one update sets: the three only make sense together."""

    enabled: bool
    security_groups: tuple[str, ...]
    """Ids, in Neutron's order."""
    address_pairs: tuple[AddressPair, ...]
    revision: int | None = None
    """The port's revision that had it; None where Neutron does not count."""

    def is_as(self, other: "Security") -> bool:
        """Return whether both let the same packets pass: Neutron's database keeps no order."""
        return self._sets == other._sets

    @property
    def _sets(self) -> tuple[bool, frozenset[str], frozenset[tuple[str, str]]]:
        pairs = frozenset((pair.mac.lower(), pair.address.lower()) for pair in self.address_pairs)
        return self.enabled, frozenset(self.security_groups), pairs

    def __str__(self) -> str:
        groups, pairs = ", ".join(self.security_groups), ", ".join(map(str, self.address_pairs))
        return (
            f"port security {'on' if self.enabled else 'off'}, "
            f"{f'security groups {groups}' if groups else 'no security group'}, "
            f"{f'allowed address pairs {pairs}' if pairs else 'no allowed address pair'}"
        )


OFF = Security(enabled=False, security_groups=(), address_pairs=())
"""What Neutron demands of a port without port security."""


class PortSecurity(change.Change):
    """Port security of one port, off."""

    kind: Literal["port-security"] = "port-security"
    port: Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9A-Za-z-]{1,64}$")]
    """Neutron's id."""
    label: str
    """What it is a port of, in words."""
    before: Security
    seen: clock.Moment = clock.Moment()
    """When it was so."""
    _update: Literal["unsent", "refused", "unknown", "answered"] = pydantic.PrivateAttr(default="unknown")
    """What became of the update that turns it off; a process that has the change from the journal cannot know."""

    @pydantic.field_validator("seen", mode="before")
    @classmethod
    def _of_an_earlier_revision(cls, value: object) -> object:
        """Take seconds since the epoch, which a journal of an earlier revision holds, for long ago."""
        return clock.Moment() if isinstance(value, int | float) else value

    def describe(self) -> str:
        """Say whose port security is off."""
        return f"port security off on {self._name}"

    def check(self) -> None:
        """Look at nothing: the update is refused where the port is not as it was read."""

    def make(self, seconds: int, credentials: cloud.Credentials | None) -> None:
        """Turn port security off and see that it is."""
        self._update = "unsent"
        with cloud.connect(_needed(credentials)) as openstack:
            self._update = "unknown"
            try:
                _set(openstack, self.port, OFF, self.before.revision)
            except connection.Refused as refusal:
                # A proxy's own 502 to 504 do not tell what Neutron does.
                self._update = "refused" if refusal.status < 500 else "answered" if refusal.status == 500 else "unknown"
                if refusal.status == 412:
                    raise errors.PathfinderError(
                        f"others changed {self._name} a moment ago, so its port security was not turned off; "
                        "run this again"
                    ) from refusal
                raise
            self._update = "answered"
            now = _look(openstack, self.port)
        if now is None or not now.is_as(OFF):
            raise errors.PathfinderError(
                f"Neutron took the update of {self._name}, but shows {now or 'no such port'}; "
                "look in its log for what sets it back"
            )

    def undo(self, credentials: cloud.Credentials | None) -> change.Outcome:
        """Put back what was before, unless others have changed it, and see that it is back."""
        if self._update == "unsent":
            return change.Outcome(state="gone", text=f"Nothing was changed on {self._name}.")
        with cloud.connect(_needed(credentials)) as openstack:
            return self._restore(openstack)

    def _restore(self, openstack: cloud.Cloud) -> change.Outcome:
        """Look, do what that calls for, and look again, until nothing is left to do."""
        failure: connection.Unanswered | None = None
        was_off = moved = waited = False
        for _ in range(_LOOKS):
            now = _look(openstack, self.port)
            if now is None:
                return change.Outcome(state="gone", text=f"Neutron has no {self._name} any more.")
            if now.is_as(self.before):
                if was_off:
                    return change.Outcome(state="undone", text=f"{self._name} has back what it had: {now}.")
                if waited or not self._may_come:
                    return change.Outcome(state="gone", text=f"{self._name} has what it had before: {now}.")
                if now.revision is not None and now.revision != self.before.revision:
                    time.sleep(BEGUN)
                    waited = True
                elif now.revision is not None and not moved:
                    # The same once more: in most releases of Neutron this moves the revision on.
                    self._put_back(openstack, now)
                    moved = True
                else:
                    raise self._unsettled()
            elif not now.is_as(OFF):
                return self._is_others(now)
            elif failure is not None:
                raise self._still_off(failure) from failure
            else:
                was_off = True
                failure = self._put_back(openstack, now)
        raise errors.PathfinderError(
            f"port security of {self._name} is still off, for Neutron has taken no update that puts it back"
        )

    def _put_back(self, openstack: cloud.Cloud, now: Security) -> connection.Unanswered | None:
        """Ask Neutron to put it back; return why that may not have worked, if looking again will not help."""
        try:
            _set(openstack, self.port, self.before, now.revision)
        except connection.Refused as refusal:
            return None if refusal.status == 412 else refusal
        except connection.Unanswered as failure:
            return failure
        return None

    @property
    def _may_come(self) -> bool:
        """Whether the update that turns it off may still take effect."""
        ago = self.seen.ago
        return self._update == "unknown" and (clock.uptime() if ago is None else ago) < SETTLED

    def _is_others(self, now: Security) -> change.Outcome:
        if self._update == "refused":
            return change.Outcome(state="gone", text=f"Nothing was changed on {self._name}; by others it has {now}.")
        return change.Outcome(
            state="conflict",
            text=f"Others have changed {self._name} meanwhile, so nothing was put back: it has {now}; before it had "
            f"{self.before}, which this brings back: {self._command}",
        )

    def _unsettled(self) -> errors.PathfinderError:
        return errors.PathfinderError(
            f"{self._name} is as before, but Neutron may still work on the update that turns its port security off; it "
            f"is looked at until {SETTLED:g} s after it was read"
        )

    def _still_off(self, failure: connection.Unanswered) -> errors.PathfinderError:
        text = f"port security of {self._name} is still off, because {failure}"
        if isinstance(failure, connection.Refused) and failure.status in (400, 404, 409):
            # As a security group that was deleted meanwhile: while it was off the port, nothing kept it.
            text += f"; by hand, without what Neutron refuses: {self._command}"
        return errors.PathfinderError(text)

    @property
    def _name(self) -> str:
        return f"port {self.port} of {self.label}"

    @property
    def _command(self) -> str:
        """The command that puts everything back in one update, whatever is set now."""
        options = [f"--{'en' if self.before.enabled else 'dis'}able-port-security", "--no-security-group"]
        for group in self.before.security_groups:
            options += ["--security-group", group]
        options.append("--no-allowed-address")
        for pair in self.before.address_pairs:
            options += ["--allowed-address", f"ip-address={pair.address},mac-address={pair.mac}"]
        return words.pasted("openstack", "port", "set", *options, self.port)


def read(openstack: cloud.Cloud, port: str, label: str) -> PortSecurity:
    """Read what would be put back.

    Raises:
        PathfinderError: There is nothing to turn off, or not all of it can be seen.
    """
    seen = clock.now()
    before = _look(openstack, port)
    if before is None:
        raise errors.PathfinderError(f"Neutron has no port {port}, which was to be that of {label}")
    if not before.enabled:
        raise errors.PathfinderError(
            f"port security of port {port} of {label} is off already, so there is nothing to turn off"
        )
    made = PortSecurity(port=port, label=label, before=before, seen=seen)
    made._update = "unsent"  # pyright: ignore[reportPrivateUsage] - known to the process that reads, and to no other
    return made


def _look(openstack: cloud.Cloud, port: str) -> Security | None:
    found = neutron.security(openstack, port)
    if found is None:
        return None
    if found.port_security_enabled is None:
        raise errors.PathfinderError(
            f"Neutron shows no port_security_enabled of port {port}: the extension port-security is not loaded, or the "
            "credentials lack the admin role"
        )
    if found.security_groups is None or found.allowed_address_pairs is None:
        lacks = "security_groups" if found.security_groups is None else "allowed_address_pairs"
        raise errors.PathfinderError(
            f"Neutron shows no {lacks} of port {port}, without which it cannot be put back; "
            "check the extensions with openstack extension list --network"
        )
    return Security(
        enabled=found.port_security_enabled,
        security_groups=found.security_groups,
        address_pairs=tuple(
            AddressPair(mac=pair.mac_address, address=pair.ip_address) for pair in found.allowed_address_pairs
        ),
        revision=found.revision_number,
    )


def _set(openstack: cloud.Cloud, port: str, wanted: Security, revision: int | None) -> None:
    neutron.set_security(
        openstack,
        port,
        enabled=wanted.enabled,
        groups=wanted.security_groups,
        pairs=[{"mac_address": pair.mac, "ip_address": pair.address} for pair in wanted.address_pairs],
        revision=revision,
    )


def _needed(credentials: cloud.Credentials | None) -> cloud.Credentials:
    if credentials is None:
        raise errors.PathfinderError(
            "port security is changed and put back in Neutron, for which there are no OpenStack credentials: relate "
            "ovs-pathfinder to keystone (juju integrate ovs-pathfinder:keystone-credentials keystone)"
        )
    return credentials
