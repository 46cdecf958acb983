"""The charm finds the credentials in its options or its relation, and says in one sentence what is missing."""

import pathlib
from typing import Any

import pytest
import yaml
from ops import testing

import charm
import credentials
from ovs_pathfinder import cloud, errors

ROOT = pathlib.Path(__file__).parents[2]
DESCRIPTION: dict[str, Any] = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())
CONFIG = DESCRIPTION.pop("config")
ACTIONS: dict[str, Any] = yaml.safe_load((ROOT / "actions.yaml").read_text())
OPTIONS: dict[str, Any] = {
    "os-auth-url": "https://keystone.example.com:5000/v3",
    "os-username": "pathfinder",
    "os-password": "s3cret word ",
    "os-project-name": "service",
}
RELATED = {
    "credentials_host": "fd00::5",
    "credentials_protocol": "https",
    "credentials_port": "35357",
    "credentials_username": "ovs-pathfinder",
    "credentials_password": "relation-s3cret",
    "credentials_project": "services",
    "credentials_user_domain_name": "service_domain",
    "credentials_project_domain_name": "service_domain",
    "region": "RegionTwo",
    "ca_cert": "-----BEGIN CERTIFICATE-----",
}


def new() -> testing.Context[charm.PathfinderCharm]:
    return testing.Context(charm.PathfinderCharm, meta=DESCRIPTION, actions=ACTIONS, config=CONFIG)


def relation(**units: dict[str, str]) -> testing.Relation:
    """Return the relation, with a databag for each unit of keystone: `_0` is keystone/0."""
    return testing.Relation(
        "keystone-credentials",
        remote_app_name="keystone",
        remote_units_data={int(name.strip("_")): data for name, data in units.items()} or {0: {}},
    )


def state(*relations: testing.Relation, leader: bool = True, config: dict[str, Any] | None = None) -> testing.State:
    peers = testing.PeerRelation("paths")
    return testing.State(config=config or {}, relations={peers, *relations}, leader=leader)


def read(given: testing.State) -> cloud.Credentials:
    context = new()
    with context(context.on.update_status(), given) as running:
        return credentials.read(running.charm)


def status(given: testing.State) -> str:
    context = new()
    return context.run(context.on.update_status(), given).unit_status.message


def refusal(given: testing.State) -> str:
    with pytest.raises(errors.PathfinderError) as refused:
        read(given)
    assert "s3cret" not in str(refused.value)
    return str(refused.value)


def test_options_are_enough() -> None:
    found = read(state(config=OPTIONS))

    assert (found.auth_url, found.username, found.project) == (OPTIONS["os-auth-url"], "pathfinder", "service")
    assert found.password.get_secret_value() == "s3cret word ", "blanks may belong to it"
    assert (found.user_domain, found.project_domain, found.region, found.ca_cert) == ("Default", "Default", "", "")


def test_options_say_the_rest_too() -> None:
    more = {"os-user-domain-name": "users", "os-project-domain-name": "projects", "os-region-name": "R2"}

    found = read(state(config={**OPTIONS, **more, "os-cacert": "-----BEGIN CERTIFICATE-----"}))

    assert (found.user_domain, found.project_domain, found.region) == ("users", "projects", "R2")
    assert found.ca_cert.startswith("-----BEGIN")


def test_relation_is_enough() -> None:
    found = read(state(relation(_0=RELATED)))

    assert (found.auth_url, found.username, found.project) == (
        "https://[fd00::5]:35357/v3",
        "ovs-pathfinder",
        "services",
    )
    assert (found.user_domain, found.project_domain, found.region) == ("service_domain", "service_domain", "RegionTwo")


def test_any_unit_of_keystone_may_have_written_them() -> None:
    assert read(state(relation(_0={}, _1={"credentials_host": "half"}, _2=RELATED))).username == "ovs-pathfinder"


def test_options_come_before_the_relation() -> None:
    assert read(state(relation(_0=RELATED), config=OPTIONS)).username == "pathfinder"


def test_password_that_changes_counts_from_then_on() -> None:
    changed = {**RELATED, "credentials_password": "another"}

    assert read(state(relation(_0=changed))).password.get_secret_value() == "another"


def test_nothing_of_a_removed_relation_stays() -> None:
    related = relation(_0=RELATED)
    context = new()
    before = state(related)

    after = context.run(context.on.relation_broken(related), before)

    assert "relation-s3cret" not in repr(after.stored_states) + repr(after.get_relations("paths"))
    assert "no OpenStack credentials" in refusal(state())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (state(), "there are no OpenStack credentials: relate ovs-pathfinder to keystone"),
        (state(relation()), "keystone has not sent the OpenStack credentials yet"),
        (state(relation(_0={**RELATED, "credentials_password": ""})), "keystone has not sent"),
        (
            state(config={name: OPTIONS[name] for name in ("os-auth-url", "os-password")}),
            "the option os-auth-url, os-password is set and os-username, os-project-name is not",
        ),
    ],
)
def test_what_is_missing_is_said(given: testing.State, sentence: str) -> None:
    assert sentence in refusal(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (state(), "plan-path needs keystone-credentials"),
        (state(leader=False), ""),
        (state(relation(_0=RELATED)), ""),
        (state(config=OPTIONS), ""),
        (
            state(config={"os-username": "pathfinder"}),
            "plan-path needs the option os-auth-url, os-password, os-project-name",
        ),
    ],
)
def test_status_of_the_leader_says_it_too(given: testing.State, message: str) -> None:
    assert status(given) == message


def test_leader_alone_asks_keystone_for_a_user() -> None:
    context = new()
    related = relation()

    asked = [
        context.run(context.on.relation_joined(related, remote_unit=0), state(related, leader=leader))
        .get_relation(related.id)
        .local_unit_data.get("username")
        for leader in (True, False)
    ]

    assert asked == ["ovs-pathfinder", None]
