"""``personad logs`` and the route behind it, also over a broken connection."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import threading

import pytest

from tests.daemon.cli.command_line import ROOT, command, personad
from tests.daemon_process import DaemonProcess
from tests.patience import PATIENCE


def test_logs_show_the_last_events_of_all_or_of_one(shared_daemon: DaemonProcess, eve: str) -> None:
    """Events are text with her name, or one JSON object per line with --json; -n limits them."""
    everything = personad(shared_daemon, "logs", "-n", "1000").stdout
    hers = personad(shared_daemon, "logs", "Eve", "--json").stdout.splitlines()

    assert "daemon.listening" in everything
    assert re.search(
        r"^\d\d:\d\d:\d\d\.\d{3} info    persona\.running persona=Eve generation=1 ", everything, re.MULTILINE
    )
    assert hers
    assert {json.loads(line)["persona"] for line in hers} == {eve}
    assert len(personad(shared_daemon, "logs", "-n", "1").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [("lines=-1", "lines"), ("lines=many", "lines"), ("lines=9999999", "lines"), ("follow=maybe", "follow")],
)
def test_the_logs_route_names_a_parameter_that_it_cannot_take(
    shared_daemon: DaemonProcess, query: str, field: str
) -> None:
    """The answer is 422 and names the parameter."""
    answer = shared_daemon.http.get(f"/api/logs?{query}")

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", field]


def test_logs_are_followed_over_a_restart_of_the_daemon(daemon: DaemonProcess) -> None:
    """With -f the verb continues when the daemon is killed and comes back, without repeating an event."""
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


def test_events_are_not_said_twice_when_the_connection_breaks(shared_daemon: DaemonProcess, eve: str) -> None:
    """After a break, a follower requests what it may have missed and skips what it has."""
    with Relay(shared_daemon.port) as relay:
        following = subprocess.Popen(
            command("logs", "-f", "--json", "--url", relay.url, eve),
            cwd=ROOT,
            env=shared_daemon.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert following.stdout
        lines = [following.stdout.readline()]
        while '"persona.running"' not in lines[-1]:
            lines.append(following.stdout.readline())
        relay.cut()
        assert personad(shared_daemon, "restart", "Eve").returncode == 0
        lines.append(following.stdout.readline())
        while '"generation": 2' not in lines[-1]:
            lines.append(following.stdout.readline())
        following.terminate()
        following.wait(PATIENCE)
        following.stdout.close()
    assert len(lines) == len(set(lines))


class Relay:
    """A TCP relay to the daemon whose connections can be cut like in a network failure."""

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
        """End all connections abruptly."""
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
    """A follower does not delay the stop and is ended cleanly."""
    with daemon.http.stream("GET", "/api/logs?follow=true") as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["event"] == "daemon.listening"
        assert daemon.stop() == 0
        list(lines)


def test_output_without_a_reader_is_not_an_error(shared_daemon: DaemonProcess) -> None:
    """A reader that ends early, like head, ends the verb quietly."""
    process = subprocess.Popen(
        command("logs"),
        cwd=ROOT,
        env=shared_daemon.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
