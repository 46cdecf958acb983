import html.parser
import json
import re
import xml.etree.ElementTree

import jsonschema
import pytest

from ovs_pathfinder.diagnosis import diagnose
from ovs_pathfinder.report import outcome, render
from tests import schemas
from tests.unit.report import test_report

NASTY = "<script>alert(1)</script> & \x1b[31m \x00 \ud7ff | ]]>"


def made(name: str, **more: object) -> outcome.Outcome:
    plan, evidence = test_report.made(name)
    return outcome.Outcome.model_validate(
        {
            "source": "octavia/2",
            "destination": plan.destination.address,
            "plan": plan,
            "diagnosis": diagnose.diagnose(plan, evidence),
            "seconds": 1.5,
            **more,
        }
    )


UNTOLD = outcome.Outcome(source="octavia/0", destination="fc00::1", problems=(NASTY,))
ALL = outcome.Outcomes(paths=(*(made(name) for name in test_report.WORLDS), UNTOLD))


class Parser(html.parser.HTMLParser):
    """Sees that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_whole_and_loads_nothing():
    text = render.document(ALL, "html")
    parser = Parser()
    parser.feed(text)

    assert parser.open == []
    assert {"script", "link", "img", "iframe"} & set(parser.seen) == set()
    assert not re.search(r"(?:src|href)=\"(?!#)|url\(|@import", text)
    assert parser.seen.count("article") == sum(one.verdict != "ok" and one.diagnosis is not None for one in ALL.paths)


def test_test_tools_get_one_case_a_path():
    (suite,) = xml.etree.ElementTree.fromstring(render.document(ALL, "junit"))  # noqa: S314 - of our own making

    cases = list(suite)
    assert len(cases) == len(ALL.paths)
    judged = {"ok": [], "broken": ["failure"], "degraded": ["failure"], "cannot-tell": ["error"]}
    for case, one in zip(cases, ALL.paths, strict=True):
        assert [child.tag for child in case] == judged[one.verdict]
        assert (case.get("classname"), case.get("name")) == (one.source, one.destination)
        assert all(one.diagnosis is None or child.get("type") == one.diagnosis.code for child in case)
    tags = [child.tag for case in cases for child in case]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        str(len(cases)),
        str(tags.count("failure")),
        str(tags.count("error")),
    )
    assert "<script>" in (cases[-1][0].get("message") or "")


@pytest.mark.parametrize("form", ["text", "markdown", "html", "junit"])
def test_nothing_that_is_put_in_controls_a_terminal_or_a_browser(form: render.Form):
    text = render.document(outcome.Outcomes(paths=(UNTOLD, made("egress", note=NASTY))), form)

    assert "\x1b" not in text
    assert "\x00" not in text
    assert form not in ("html", "junit") or "<script" not in text


def test_table_fits_a_terminal_and_counts():
    head = render.document(ALL, "text").partition("─" * 40)[0]

    assert max(map(len, head.splitlines())) <= 80
    assert f"{len(ALL.paths)} paths: " in head
    assert "octavia/2 → fc00::f816:3eff:fe0d:9acf  OK\n" in head


def test_single_path_has_its_report_and_no_table():
    ok = outcome.Outcomes(paths=(made("ok"),))
    odd = outcome.Outcomes(paths=(made("egress", problems=("One did not answer.",), next=("juju run a/0 b run=c",)),))

    assert render.document(ok, "text").startswith(f"Path report {test_report.build.RUN}: OK\n")
    assert render.document(odd, "text").endswith(
        "Went wrong:\n  - One did not answer.\nMore can be told by:\n  juju run a/0 b run=c\n"
    )


def test_programs_get_all_of_it_by_the_schema():
    found = json.loads(render.document(ALL, "json"))

    jsonschema.validate(found, schemas.all_of_them()["paths.schema.json"])
    assert outcome.Outcomes.model_validate(found) == ALL


@pytest.mark.parametrize(
    ("names", "worst"),
    [((), "ok"), (("ok",), "ok"), (("ok", "degraded"), "degraded"), (("degraded", "egress", "ok"), "broken")],
)
def test_worst_verdict_stands_for_all(names: tuple[str, ...], worst: str):
    assert outcome.Outcomes(paths=tuple(map(made, names))).worst == worst
    told = {"ok": "cannot-tell"}.get(worst, worst)
    assert outcome.Outcomes(paths=(*map(made, names), UNTOLD)).worst == told


@pytest.mark.parametrize("form", ["text", "markdown", "html", "junit"])
def test_single_path_without_a_diagnosis_says_why_there_is_none(form: render.Form):
    one = outcome.Outcome(source="octavia/0", destination="fc00::1", problems=("plan-path failed: nobody",))

    text = render.document(outcome.Outcomes(paths=(one,)), form)

    assert "plan-path failed: nobody" in text
    assert "octavia/0" in text
