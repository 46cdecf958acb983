import pathlib

import pytest

from ovs_pathfinder.inspection import worker_log

LINE = (
    "{time} 78382 WARNING octavia.amphorae.drivers.haproxy.rest_api_driver [-] Could not connect to instance. "
    "Retrying.: requests.exceptions.ConnectTimeout: HTTPSConnectionPool(host='{address}', port=9443): Max retries "
    "exceeded with url: // (Caused by ConnectTimeoutError("
    "<urllib3.connection.VerifiedHTTPSConnection object at 0x7fcc3436dca0>, "
    "'Connection to {address} timed out. (connect timeout=10.0)'))\n"
)
GUEST = "fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf"
WRAPPED = """\
2022-03-12 09:04:19.832 78382 WARNING octavia.amphorae.drivers.haproxy.rest_api_driver [-] Could not connect to
  instance. Retrying.: requests.exceptions.ConnectTimeout:
  HTTPSConnectionPool(host='fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf', port=9443):
    Max retries exceeded with url: //
2022-03-12 09:04:20.000 78382 INFO octavia.controller.queue.v1.endpoints [-] Creating load balancer
"""


def line(time: str, address: str = GUEST) -> str:
    return LINE.format(time=f"2022-03-12 {time}", address=address)


def test_attempts_are_counted_by_address_with_their_first_and_latest_time() -> None:
    found = worker_log.parse(line("09:04:19.832") + line("09:04:20.001", "192.168.77.9") + line("09:05:01.100"))

    assert [(one.address, one.count, one.first, one.latest) for one in found.troubles] == [
        (GUEST, 2, "2022-03-12 09:04:19.832", "2022-03-12 09:05:01.100"),
        ("192.168.77.9", 1, "2022-03-12 09:04:20.001", "2022-03-12 09:04:20.001"),
    ]
    assert found.troubles[0].exception == "requests.exceptions.ConnectTimeout"


def test_a_record_may_have_several_lines() -> None:
    (found,) = worker_log.parse(WRAPPED).troubles

    assert (found.address, found.count) == (GUEST, 1)


def test_one_address_in_two_spellings_is_one_address() -> None:
    (found,) = worker_log.parse(line("09:04:19") + line("09:04:24", GUEST.upper())).troubles

    assert found.count == 2


def test_the_time_is_told_when_the_worker_gives_up() -> None:
    given_up = (
        "2022-03-12 09:30:00.000 78382 ERROR octavia.amphorae.drivers.haproxy.rest_api_driver [-] Connection retries "
        "(currently set to 120) exhausted.  The amphora is unavailable. Reason: HTTPSConnectionPool(host='10.0.0.7', "
        "port=9443): Max retries exceeded\n"
    )

    (found,) = worker_log.parse(line("09:04:19", "10.0.0.7") + given_up).troubles

    assert (found.count, found.given_up) == (1, "2022-03-12 09:30:00.000")


@pytest.mark.parametrize("odd", ["", "no time\n", "2022-03-12 09:04:19 x Could not connect to instance. Retrying.\n"])
def test_lines_without_an_address_name_none(odd: str) -> None:
    found = worker_log.parse(odd)

    assert found.troubles == ()
    assert found.nameless == ("Could not" in odd)


def test_the_rotated_file_comes_before_the_current_one(tmp_path: pathlib.Path) -> None:
    files = (tmp_path / "worker.log.1", tmp_path / "worker.log")
    files[0].write_text(line("08:00:00"))
    files[1].write_text(line("09:00:00"))

    found = worker_log.read_one(files)

    (trouble,) = found.troubles
    assert (trouble.first[11:], trouble.latest[11:]) == ("08:00:00", "09:00:00")
    assert (found.present, found.whole) == (True, True)


def test_only_the_latest_bytes_of_a_long_log_are_read(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "worker.log"
    file.write_text("".join(line(f"09:00:{number % 60:02}") for number in range(50)) + line("10:00:00", "10.0.0.1"))

    found = worker_log.read_one((tmp_path / "worker.log.1", file), limit=1000)

    assert (found.bytes, found.whole) == (1000, False)
    assert found.troubles[-1].address == "10.0.0.1"
    assert sum(one.count for one in found.troubles) < 4


def test_an_absent_log_is_said_to_be_absent(tmp_path: pathlib.Path) -> None:
    found = worker_log.read_one((tmp_path / "a", tmp_path / "b"))

    assert (found.present, found.problem, found.troubles) == (False, "", ())


def test_a_log_that_cannot_be_read_is_named(tmp_path: pathlib.Path) -> None:
    found = worker_log.read_one((tmp_path / "a", tmp_path))

    assert "cannot be read" in found.problem


@pytest.mark.parametrize(
    "prefix",
    [
        "Mar 12 09:04:19 juju-1234-0 octavia-worker[78382]: ",
        "<165>Mar  2 09:04:19 host octavia-worker: ",
        "2022-03-12T09:04:19.832113+00:00 host octavia-worker[1]: ",
    ],
)
def test_what_a_log_daemon_puts_before_a_line_is_passed_over(prefix: str) -> None:
    found = worker_log.parse("".join(f"{prefix}{one}\n" for one in line("09:04:19.832").splitlines()))

    assert [(one.address, one.count, one.latest) for one in found.troubles] == [(GUEST, 1, "2022-03-12 09:04:19.832")]


def test_lines_of_another_kind_are_counted_as_not_understood() -> None:
    assert worker_log.parse("{json: 1}\n" * 5 + "12/03/2022 Could not connect to instance\n").understood == 0
    assert worker_log.parse(line("09:04:19.832")).understood == 1


def test_the_health_manager_s_log_is_read_too(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, health = tmp_path / "worker", tmp_path / "health"
    monkeypatch.setattr(worker_log, "FILES", (tmp_path / "worker.1", worker))
    monkeypatch.setattr(worker_log, "HEALTH_FILES", (tmp_path / "health.1", health))
    health.write_text(line("09:10:00") + line("09:10:01", "192.168.77.9"))
    alone = worker_log.read()
    worker.write_text(line("09:04:19") + line("09:20:00"))

    both = worker_log.read()

    assert (alone.present, alone.file, len(alone.troubles)) == (True, str(health), 2)
    assert (both.file, both.understood) == (f"{worker} and {health}", 4)
    assert [(one.address, one.count, one.first[11:19], one.latest[11:19]) for one in both.troubles] == [
        (GUEST, 3, "09:04:19", "09:20:00"),
        ("192.168.77.9", 1, "09:10:01", "09:10:01"),
    ]
