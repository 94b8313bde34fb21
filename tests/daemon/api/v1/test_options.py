"""What a channel can be made of, and that each name in it is one that create takes."""

from __future__ import annotations

import pytest

from tests.daemon.api.v1.reception import PHONES, SHARED, Reception, secret_file
from tests.daemon.api.v1.test_authentication import problem
from tests.daemon_process import wait_for


def test_everything_that_create_takes_is_listed(desk: Reception) -> None:
    """Personas with their datasets, models and accounts, without any secret; create takes what is listed."""
    persona = desk.http.get("/api/personas").json()["personas"][0]
    folder = desk.daemon.state_dir / "personas" / persona["id"] / "datasets"
    (folder / "notes.txt").write_text("a file is no dataset")
    (folder / ".hidden").mkdir()
    offered = desk.get("/options")

    assert offered["organizationId"] == "house"
    shown = next(one for one in offered["systemPrompts"] if one["systemPromptId"] == persona["id"])
    assert shown == {"systemPromptId": persona["id"], "name": persona["name"], "datasetIds": ["menu"]}
    assert offered["models"] == [{"modelId": "fast", "name": "m", "provider": "openai"}]
    assert offered["accounts"] == [
        {"account": "home", "channelTypes": ["sms", "whatsapp"], "phoneNumbers": [SHARED]},
        {"account": "shop", "channelTypes": ["sms", "whatsapp"], "phoneNumbers": [*PHONES, SHARED]},
    ]
    chosen = {key: shown[key] for key in ("systemPromptId", "datasetIds")}
    made = desk.create(**chosen, modelId=offered["models"][0]["modelId"], account=offered["accounts"][1]["account"])
    assert {key: made[key] for key in chosen} == chosen


def test_a_default_is_shown_only_if_there_is_one(lonely: Reception) -> None:
    """With nobody, and with several personas, a create must name one; the only persona answers by herself."""
    assert lonely.get("/options")["defaultSystemPromptId"] is None
    eve = lonely.persona("Eve")
    assert lonely.get("/options")["defaultSystemPromptId"] == eve
    lonely.persona("Adam")
    offered = lonely.get("/options")
    assert offered["defaultSystemPromptId"] is None
    assert [(one["name"], one["datasetIds"]) for one in offered["systemPrompts"]] == [("Adam", []), ("Eve", [])]


def test_it_needs_a_token_and_is_only_read(desk: Reception) -> None:
    """As every route of /v1, also on the loopback."""
    without = desk.http.get("/v1/channels/options", headers={"authorization": ""})
    assert without.status_code == 401
    problem(without)
    assert desk.http.post("/v1/channels/options").status_code == 405


@pytest.mark.slow
def test_an_account_is_read_again_without_a_restart(lonely: Reception) -> None:
    """A new account is offered as soon as the file has it; a faulty file changes nothing, and readiness says why."""
    lonely.persona()
    file = lonely.daemon.state_dir.parent / ".config/personad/personad.toml"
    good = file.read_text()
    file.write_text(f"{good}[accounts")

    def reason() -> str:
        checks: dict[str, dict[str, str]] = lonely.http.get("/readyz").json()["checks"]
        return checks["accounts"]["reason"]

    assert "not TOML" in wait_for(reason, "the fault")
    assert [one["account"] for one in lonely.get("/options")["accounts"]] == ["home", "shop"]
    token = secret_file(lonely.daemon.state_dir.parent, lonely.bot())
    file.write_text(f'{good}[accounts.robot]\ntype = "telegram"\nbot_token_file = "{token}"\n')
    wait_for(lambda: not reason(), "the correction")
    assert [one["account"] for one in lonely.get("/options")["accounts"]] == ["home", "robot", "shop"]
    made = lonely.post({"name": "Robot", "channelType": "telegram", "account": "robot"})
    assert (made.status_code, made.json().get("status")) == (201, "active"), made.text
