"""The command line as a real process against a real daemon: what it prints and how it exits."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.command_line import PATIENCE, ROOT, command, personad
from tests.daemon_process import DaemonProcess, free_port, wait_for
from tests.emulators.openai import OpenAIEmulator

KEY = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all tests of this module that leave no trace."""
    process = DaemonProcess(tmp_path_factory.mktemp("cli") / "state")
    try:
        yield process.start().ready()
    finally:
        process.close()


@pytest.fixture
def eve(house: DaemonProcess, mind: OpenAIEmulator) -> Iterator[str]:
    """A persona named Eve whose mind is the echo; deleted after the test."""
    persona_id = house.create(
        "Eve", thinking_model="echo", thinking_provider="openai", thinking_api_key="k", thinking_url=mind.url
    )
    yield persona_id
    house.http.post(f"/api/persona/{persona_id}/delete")


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """The settings of a daemon that does not run."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PERSONAD_STATE_DIR": str(tmp_path / "state"),
        "PERSONAD_RUNTIME_DIR": str(tmp_path / "run"),
        "PERSONAD_HTTP_PORT": str(free_port()),
    }


def test_a_persona_is_created_listed_and_deleted(house: DaemonProcess, mind: OpenAIEmulator, tmp_path: Path) -> None:
    """create, list and delete by name; the key comes from a file and is printed nowhere."""
    (tmp_path / "key").write_text(KEY + "\n")
    mine = ["--provider", "openai", "--model", "echo", "--url", mind.url, "--api-key-file", str(tmp_path / "key")]
    made = personad(house, "create", "Dora", *mine, "--json")

    assert made.returncode == 0, made.stderr
    assert KEY not in made.stdout + made.stderr
    persona_id = json.loads(made.stdout)["id"]
    assert mind.journal[-1].headers["authorization"] == f"Bearer {KEY}"
    listed = personad(house, "list")
    assert re.search(rf"^Dora +running +active +{persona_id}$", listed.stdout, re.MULTILINE)
    [view] = [one for one in json.loads(personad(house, "list", "--json").stdout)["personas"] if one["name"] == "Dora"]
    assert view["id"] == persona_id
    deleted = personad(house, "delete", "Dora", "--yes")
    assert (deleted.returncode, deleted.stdout) == (0, "Dora: deleted\n")
    assert persona_id not in personad(house, "list").stdout


def test_the_key_can_come_from_a_variable(house: DaemonProcess, mind: OpenAIEmulator) -> None:
    """--api-key-env names the variable; one that is not set is a wrong usage."""
    mine = ["--provider", "openai", "--model", "echo", "--url", mind.url, "--api-key-env", "MY_KEY"]
    missing = personad(house, "create", "Dora", *mine)
    made = personad(house, "create", "Dora", *mine, MY_KEY=KEY)

    assert missing.returncode == 2
    assert "MY_KEY" in missing.stderr
    assert made.returncode == 0, made.stderr
    assert mind.journal[-1].headers["authorization"] == f"Bearer {KEY}"
    personad(house, "delete", "Dora", "--yes")


def test_a_persona_is_stopped_started_and_restarted(house: DaemonProcess, eve: str) -> None:
    """Each verb says what became of her, by name in any case or by id."""
    assert personad(house, "stop", "Eve").stdout == "Eve: stopped\n"
    refused = personad(house, "stop", "eve")
    assert (refused.returncode, refused.stderr) == (1, "personad: Persona is not running.\n")
    assert personad(house, "start", eve).stdout == "Eve: started\n"
    assert personad(house, "start", "Eve").stdout == "Eve: already running\n"
    restarted = personad(house, "restart", "eve", "--json")
    assert json.loads(restarted.stdout) == {"id": eve, "name": "Eve", "status": "restarted"}


def test_a_name_that_two_have_is_answered_with_their_ids(house: DaemonProcess, eve: str, mind: OpenAIEmulator) -> None:
    """An ambiguous name changes nothing and lists the ids; an id always works."""
    organs = {
        "thinking_model": "echo",
        "thinking_provider": "openai",
        "thinking_api_key": "k",
        "thinking_url": mind.url,
    }
    other = house.create("Eve", **organs)
    refused = personad(house, "stop", "Eve")

    assert refused.returncode == 1
    assert eve in refused.stderr
    assert other in refused.stderr
    assert personad(house, "delete", other, "--yes").returncode == 0
    assert personad(house, "stop", "Eve").returncode == 0


def test_a_name_that_nobody_has_is_refused(house: DaemonProcess) -> None:
    """The error says how to see who is there."""
    for verb in ("start", "stop", "restart", "chat", "logs"):
        refused = personad(house, verb, "Nobody")
        assert refused.returncode == 1
        assert refused.stderr == "personad: there is no persona 'Nobody'; `personad list` shows them\n"


def test_delete_asks_and_takes_only_yes(house: DaemonProcess, eve: str) -> None:
    """Without a terminal it wants --yes; on one it wants the word."""
    refused = personad(house, "delete", "Eve", stdin="yes\n")

    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert eve in personad(house, "list").stdout


def test_status_shows_the_daemon_and_each_persona(house: DaemonProcess, eve: str) -> None:
    """One line for the daemon, one for each persona; --json gives the daemon's own account."""
    status = personad(house, "status")

    assert status.returncode == 0
    assert re.match(rf"personad \S+ at {house.url}: up .+, pid {house.pid}, \d+\.\d MiB\n", status.stdout)
    assert re.search(r"^Eve +running +active +ok +0 +0 +\d+ +\d+\.\d MiB$", status.stdout, re.MULTILINE)
    whole = json.loads(personad(house, "status", "--json").stdout)
    assert whole["pid"] == house.pid
    assert [one["name"] for one in whole["personas"]] == ["Eve"]


def test_status_imports_nothing_heavy(house: DaemonProcess) -> None:
    """A verb starts fast because the daemon's own libraries stay out of it."""
    heavy = {"starlette", "uvicorn", "uvloop", "zmq", "websockets", "watchfiles", "asyncio", "anyio"}
    program = f"import sys; from daemon.cli import main; main(['status']); print({heavy} & sys.modules.keys())"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=house.environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert ended.stdout.splitlines()[-1] == "set()"


def test_logs_show_the_last_events_of_all_or_of_one(house: DaemonProcess, eve: str) -> None:
    """Events in words with her name; with --json one object a line; -n bounds them."""
    everything = personad(house, "logs", "-n", "1000").stdout
    hers = personad(house, "logs", "Eve", "--json").stdout.splitlines()

    assert "daemon.listening" in everything
    assert re.search(
        r"^\d\d:\d\d:\d\d\.\d{3} info    persona\.running persona=Eve generation=1 ", everything, re.MULTILINE
    )
    assert hers
    assert {json.loads(line)["persona"] for line in hers} == {eve}
    assert len(personad(house, "logs", "-n", "1").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [("lines=-1", "lines"), ("lines=many", "lines"), ("lines=9999999", "lines"), ("follow=maybe", "follow")],
)
def test_the_logs_route_names_a_parameter_that_it_cannot_take(house: DaemonProcess, query: str, field: str) -> None:
    """422 with the parameter's place."""
    answer = house.http.get(f"/api/logs?{query}")

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", field]


def test_logs_are_followed_over_a_restart_of_the_daemon(daemon: DaemonProcess) -> None:
    """-f goes on when the daemon is killed and comes back, without saying an event twice."""
    with subprocess.Popen(
        command("logs", "-f", "--json"),
        cwd=ROOT,
        env=daemon.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout
        events = [json.loads(following.stdout.readline())]
        while events[-1]["event"] != "daemon.ready":
            events.append(json.loads(following.stdout.readline()))
        daemon.kill()
        daemon.start()
        while [event["event"] for event in events].count("daemon.ready") < 2:
            events.append(json.loads(following.stdout.readline()))
        following.terminate()
    pids = [event["pid"] for event in events if event["event"] == "daemon.listening"]
    assert len(pids) == len(set(pids)) == 2


def test_events_are_not_said_twice_when_the_connection_breaks(house: DaemonProcess, eve: str) -> None:
    """A follower that was cut off asks for what it may have missed and leaves out what it has."""
    with Relay(house.port) as relay:
        following = subprocess.Popen(
            command("logs", "-f", "--json", "--url", relay.url, eve),
            cwd=ROOT,
            env=house.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert following.stdout
        lines = [following.stdout.readline()]
        while '"persona.running"' not in lines[-1]:
            lines.append(following.stdout.readline())
        relay.cut()
        assert personad(house, "restart", "Eve").returncode == 0
        lines.append(following.stdout.readline())
        while '"generation": 2' not in lines[-1]:
            lines.append(following.stdout.readline())
        following.terminate()
        following.wait(PATIENCE)
        following.stdout.close()
    assert len(lines) == len(set(lines))


class Relay:
    """A TCP relay to the daemon, whose connections can be cut as a network does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """End all connections without a word."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)


def test_a_daemon_stops_at_once_although_its_log_is_followed(daemon: DaemonProcess) -> None:
    """A follower does not hold up the stop, and is ended in order."""
    with daemon.http.stream("GET", "/api/logs?follow=true") as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["event"] == "daemon.listening"
        assert daemon.stop() == 0
        list(lines)


def test_output_that_nobody_reads_is_no_error(house: DaemonProcess) -> None:
    """A reader that leaves early, as head does, ends the verb quietly."""
    process = subprocess.Popen(
        command("logs"), cwd=ROOT, env=house.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


VERBS = [
    ["create", "Adam"],
    ["list"],
    ["start", "Adam"],
    ["stop", "Adam"],
    ["restart", "Adam"],
    ["delete", "Adam", "--yes"],
    ["chat", "Adam"],
    ["logs"],
    ["logs", "-f"],
    ["status"],
    ["channel", "list", "Adam"],
    ["pair", "Adam", "CODE"],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_without_a_daemon_every_client_says_how_to_start_it(nowhere: dict[str, str], verb: list[str]) -> None:
    """Exit 69 and one line."""
    ended = personad(nowhere, *verb)

    assert ended.returncode == 69
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert "Connection refused" in ended.stderr
    assert "personad serve" in ended.stderr


def test_a_stranger_on_the_port_is_told_from_a_daemon(nowhere: dict[str, str]) -> None:
    """Something else that answers, or never does, is exit 69 and says so."""
    with socket.create_server(("127.0.0.1", int(nowhere["PERSONAD_HTTP_PORT"]))) as stranger:
        process = subprocess.Popen(
            command("status"), cwd=ROOT, env=nowhere, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        connection, _ = stranger.accept()
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
        connection.close()
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 69
    assert "is not personad" in error


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["start"], ["create"], ["logs", "-n", "many"], ["chat", "Adam", "--timeout", "0"], ["list", "extra"]],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(nowhere: dict[str, str], arguments: list[str]) -> None:
    """argparse's usage and error; nothing is sent anywhere."""
    ended = personad(nowhere, *arguments)

    assert ended.returncode == 2
    assert "usage: personad" in ended.stderr


@pytest.mark.parametrize("verb", ["serve", "status", "list"])
def test_settings_that_cannot_be_taken_are_exit_64(nowhere: dict[str, str], tmp_path: Path, verb: str) -> None:
    """One line that names the file and the key, and nothing was touched."""
    (tmp_path / "bad.toml").write_text("[http]\nprot = 1\n")
    ended = personad(nowhere, verb, "--config", str(tmp_path / "bad.toml"))

    assert ended.returncode == 64
    assert ended.stderr == f"personad: {tmp_path}/bad.toml: unknown setting 'http.prot'; did you mean http.port?\n"
    assert not (tmp_path / "state").exists()


def test_config_may_stand_before_or_after_the_verb(house: DaemonProcess, tmp_path: Path) -> None:
    """personad --config FILE list and personad list --config FILE are the same."""
    (tmp_path / "good.toml").write_text(f"[http]\nport = {house.port}\n")
    environ = {name: value for name, value in house.environ().items() if name != "PERSONAD_HTTP_PORT"}
    config = ["--config", str(tmp_path / "good.toml")]

    assert personad(environ, *config, "list").returncode == 0
    assert personad(environ, "list", *config).returncode == 0


def test_url_overrides_the_settings(house: DaemonProcess, nowhere: dict[str, str]) -> None:
    """A daemon elsewhere is reached with --url."""
    assert personad(nowhere, "list", "--url", house.url).returncode == 0
    assert personad(nowhere, "--url", house.url + "/", "status").returncode == 0
    assert personad(nowhere, "list", "--url", "nonsense").returncode == 69


def test_a_token_is_made_needed_and_used(tmp_path: Path) -> None:
    """token prints it once; with it in the settings every verb works, without it every verb is refused."""
    daemon = DaemonProcess(tmp_path / "state")
    try:
        made = personad(daemon, "token")
        file = tmp_path / "state" / "token"
        token = made.stdout.strip()
        assert token.startswith("personad_")
        assert token not in made.stderr
        assert str(file) in made.stderr
        assert file.read_text() == token + "\n"
        assert file.stat().st_mode & 0o777 == 0o600

        without = daemon.environ()
        daemon.settings["PERSONAD_HTTP_TOKEN_FILE"] = str(file)
        daemon.token = token
        daemon.start()
        refused = personad(without, "status")
        assert refused.returncode == 1
        assert "token" in refused.stderr
        assert personad(without, "status", PERSONAD_TOKEN=token).returncode == 0
        assert personad(daemon, "status").returncode == 0
        second = json.loads(personad(daemon, "token", "--json").stdout)["token"]
        wait_for(lambda: personad(without, "status", PERSONAD_TOKEN=second).returncode == 0, "the new token to count")
        assert token not in daemon.log.read_text()
    finally:
        daemon.close()


def test_a_token_can_be_made_for_a_host_that_needs_one(nowhere: dict[str, str], tmp_path: Path) -> None:
    """The settings that are refused for want of a token do not keep one from being made."""
    open_host = {**nowhere, "PERSONAD_HTTP_HOST": "0.0.0.0"}

    assert personad(open_host, "serve").returncode == 64
    assert personad(open_host, "token", "--file", str(tmp_path / "token")).returncode == 0
    assert (tmp_path / "token").exists()


def findings(nowhere: dict[str, str]) -> dict[str, tuple[str, str]]:
    ended = personad(nowhere, "doctor", "--json")
    found = {one["check"]: (one["state"], one["words"]) for one in json.loads(ended.stdout)}
    assert ended.returncode == (1 if any(state == "fail" for state, _ in found.values()) else 0)
    return found


def test_doctor_finds_nothing_wrong_with_a_running_daemon(house: DaemonProcess, eve: str) -> None:
    """Every check is in order; the text has a line for each."""
    ended = personad(house, "doctor")

    assert ended.returncode == 0, ended.stdout
    assert "FAIL" not in ended.stdout
    assert f"pid {house.pid}" in ended.stdout


def test_doctor_says_what_is_wrong_and_what_to_do(nowhere: dict[str, str], tmp_path: Path) -> None:
    """An open directory, a taken port, a broken record and an open token file are each found, without a daemon."""
    state = tmp_path / "state"
    record = state / "personas" / "6c17c83c-3158-450d-8e43-0e7efea717c1" / "config.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"id": "6c17c83c-3158-450d-8e43-0e7efea717c1", "name": 7}')
    state.chmod(0o755)
    (tmp_path / "token").write_text("personad_" + "a" * 43)
    (tmp_path / "token").chmod(0o644)
    with socket.create_server(("127.0.0.1", int(nowhere["PERSONAD_HTTP_PORT"]))):
        found = findings({**nowhere, "PERSONAD_HTTP_TOKEN_FILE": str(tmp_path / "token")})

    assert found["state directory"][0] == "fail"
    assert f"chmod 700 {state}" in found["state directory"][1]
    assert found["port"][0] == "fail"
    assert "http.port" in found["port"][1]
    assert found["token"][0] == "fail"
    assert "chmod 600" in found["token"][1]
    state_of_record, words = found[f"persona {record.parent.name}"]
    assert state_of_record == "fail"
    assert str(record) in words
    assert "$.name" in words


def test_doctor_before_the_first_start_only_warns(nowhere: dict[str, str]) -> None:
    """Nothing is there yet, and nothing is made by looking."""
    found = findings(nowhere)

    assert found["daemon"][0] == "warn"
    assert found["state directory"][0] == "ok"
    assert not Path(nowhere["PERSONAD_STATE_DIR"]).exists()


def test_doctor_reports_settings_that_cannot_be_taken(nowhere: dict[str, str]) -> None:
    """The one check that can still be made fails with the setting's own words."""
    ended = personad({**nowhere, "PERSONAD_HTTP_PORT": "x"}, "doctor", "--json")

    assert ended.returncode == 1
    assert [one["check"] for one in json.loads(ended.stdout)] == ["settings"]
