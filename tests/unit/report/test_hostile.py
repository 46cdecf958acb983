"""No string of a stranger acts on what shows it: a terminal, Markdown, a browser, or what reads XML and JSON."""

import html.parser
import json
import unicodedata
import xml.etree.ElementTree

import jsonschema
import markdown_it
import pytest

from ovs_pathfinder import report, text
from ovs_pathfinder.diagnosis import diagnose
from ovs_pathfinder.inspection import tunnels
from ovs_pathfinder.report import environment, outcome, render, view
from tests import schemas
from tests.unit.diagnosis import build
from tests.unit.report import hostile, test_report, test_trials

FORMS: tuple[render.Form, ...] = ("text", "markdown", "html", "json", "junit")
PLAN, EVIDENCE = test_report.made("egress")


def told(attack: str) -> outcome.Outcomes:
    """Return a diagnosis of hostile strings, one that is itself all hostile, and a path without any."""
    plan = hostile.made(PLAN, attack)
    evidence = [hostile.made(one, attack) for one in EVIDENCE]
    trials = [hostile.made(one, attack) for one in test_trials.TRIALS.values()]
    seen = outcome.Outcome(
        source="octavia/2",
        destination="fc00::1",
        plan=plan,
        diagnosis=diagnose.diagnose(plan, evidence, trials),
        problems=("A unit did not answer.",),
        next=("juju run ovs-pathfinder/0 try-flows",),
    )
    untold = outcome.Outcome(source="octavia/0", destination="fc00::2", problems=("nothing",))
    return hostile.made(outcome.Outcomes(paths=(seen, untold)), attack)


HOSTILE, HARMLESS = told(hostile.ATTACK), told(hostile.HARMLESS)


def acting(shown: str) -> set[str]:
    """Return the characters that act on what shows them; lines may end."""
    return {one for one in shown if one != "\n" and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


@pytest.mark.parametrize("form", FORMS)
def test_no_form_has_a_character_that_acts(form: render.Form) -> None:
    assert "\x1b" in str(HOSTILE.paths[0].source)
    assert acting(render.document(HOSTILE, form)) == set()


def blocks(shown: str) -> list[str]:
    """Return the structure of Markdown: blocks and what is in their lines, without the text."""
    found: list[str] = []
    for token in markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(shown):
        inner = [child.type for child in token.children or () if not child.type.startswith("text")]
        found += [f"{token.level} {token.type}", *inner]
    return found


def test_markdown_has_the_same_structure() -> None:
    assert blocks(render.document(HOSTILE, "markdown")) == blocks(render.document(HARMLESS, "markdown"))
    assert "table_open" in " ".join(blocks(render.document(HOSTILE, "markdown")))


@pytest.mark.parametrize(
    "said", ["- x", "+ x", "1. x", "12) x", "===", "---", "# x", "> x", "    x", "\tx", "* x", ": x", "~~~", "x\n\ny"]
)
def test_markdown_begins_nothing_with_a_string(said: str) -> None:
    alone, listed = text.markdown(said), "- " + text.markdown(said)

    assert blocks(alone) == blocks("word")
    assert blocks(listed) == blocks("- word")


class Tags(html.parser.HTMLParser):
    """Notes elements and the names of their attributes."""

    def __init__(self, shown: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(shown)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(" ".join((tag, *(name for name, _ in attrs))))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.seen.append("comment")


def test_page_has_no_foreign_element() -> None:
    shown = Tags(render.document(HOSTILE, "html")).seen

    assert shown == Tags(render.document(HARMLESS, "html")).seen
    assert "script" not in shown


def test_test_tools_can_read_it() -> None:
    shown, harmless = (
        xml.etree.ElementTree.fromstring(render.document(one, "junit"))  # noqa: S314 - of our own making
        for one in (HOSTILE, HARMLESS)
    )

    assert [one.tag for one in shown.iter()] == [one.tag for one in harmless.iter()]


def test_programs_get_it_as_it_is() -> None:
    found = json.loads(render.document(HOSTILE, "json"))

    jsonschema.validate(found, schemas.all_of_them()["paths.schema.json"])
    assert outcome.Outcomes.model_validate(found) == HOSTILE


@pytest.mark.parametrize("form", test_report.FORMS)
def test_results_of_the_action_are_filtered_and_bounded(form: render.Format) -> None:
    plan, evidence = hostile.made(PLAN), [hostile.made(one) for one in EVIDENCE]

    found = report.results(plan, evidence, form, [hostile.made(one) for one in test_trials.TRIALS.values()])

    assert set().union(*map(acting, found.values())) == set()
    assert all(len(one.encode()) < 131_071 for one in found.values())


@pytest.mark.parametrize("form", ["text", "markdown", "html", "junit"])
def test_no_string_makes_a_document_too_long(form: render.Form) -> None:
    long = HOSTILE.paths[0].model_copy(update={"source": "A" * 1_000_000, "problems": ("B" * 1_000_000,)})

    assert len(render.document(outcome.Outcomes(paths=(long, long)), form)) < 600_000


@pytest.mark.parametrize("kind", ["text", "markdown", "markup"])
@pytest.mark.parametrize(
    "put",
    [
        "{{ one }}",
        "{{ one | wrapped(4) }}",
        "{{ fact('name', one) }}",
        "{{ one | pasted(2) }}",
        "{{ '%s' | format(one) }}",
    ],
)
def test_templates_cannot_put_in_what_was_not_filtered(kind: environment.Kind, put: str) -> None:
    shown = environment.environment(kind).from_string(put).render(one=hostile.ATTACK)

    assert acting(shown) == set()
    assert kind != "markup" or "<" not in shown


def test_answers_of_questions_act_on_nothing() -> None:
    tunnel = tunnels.Tunnel(name="gre-1", type="gre", bridge="br-tun", remote_address="192.0.2.1", problems=("a", "b"))
    found = tunnels.Answer(summary="One.", unit="a/0", tunnels=(tunnel,), notes=("note",), next=("juju run",))

    shown, harmless = (view.view(hostile.made(found, one), "json") for one in (hostile.ATTACK, hostile.HARMLESS))

    assert set().union(*map(acting, shown.values())) == set()
    assert [line.partition(" ")[0] for line in harmless["report"].splitlines() if line[:1].isalpha()] != []
    heads = [
        [line for line in one["report"].splitlines() if line.endswith(":") and line[:1].isalpha()]
        for one in (shown, harmless)
    ]
    assert heads[0] == heads[1]


def test_what_is_not_a_string_is_filtered_too() -> None:
    network = build.plan().network.model_copy(update={"type": "flat", "physical_network": hostile.ATTACK})

    assert acting(environment.environment("text").from_string("{{ one }}").render(one=network)) == set()
