"""Channels whose bot is in the operator's settings: Slack, and Telegram without a token in the request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.api.v1.reception import Reception, secret_file
from tests.daemon.api.v1.test_authentication import problem
from tests.daemon_process import wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.slack import SlackEmulator
from tests.emulators.twilio import TwilioEmulator
from tests.providers import Telegram


@pytest.mark.slow
def test_an_accounts_bot_is_a_channel(
    tmp_path: Path, telegram: Telegram, twilio: TwilioEmulator, mind: OpenAIEmulator
) -> None:
    """The only Slack account need not be named, Telegram's must; people are answered, and each bot has one channel."""

    token = telegram.add_bot("by_account")
    with SlackEmulator() as slack:
        files = {name: secret_file(tmp_path, text) for name, text in bots(slack, token).items()}
        settings = (
            f'[accounts.team]\ntype = "slack"\nbot_token_file = "{files["slack"]}"\napp_token_file = "{files["app"]}"\n'
            f'[accounts.robot]\ntype = "telegram"\nbot_token_file = "{files["telegram"]}"\n'
        )
        desk = Reception(tmp_path / "state", telegram, twilio, mind, settings)
        desk.daemon.settings["PERSONAD_PROVIDERS_SLACK_URL"] = slack.url
        try:
            desk.daemon.start().ready()
            desk.persona()
            talk(desk, slack)
            made = desk.post({"name": "Robot", "channelType": "telegram", "account": "robot"})
            assert made.status_code == 201, made.text
            for body in ({"channelType": "slack"}, {"channelType": "telegram", "botToken": token}):
                again = desk.post({"name": "Again", **body})
                assert again.status_code == 409, again.text
                problem(again)
            assert not any(secret in made.text for secret in bots(slack, token).values())
        finally:
            desk.daemon.close()


def bots(slack: SlackEmulator, telegram_token: str) -> dict[str, str]:
    """The bots' secrets."""
    return {"slack": slack.bot_token, "app": slack.app_token, "telegram": telegram_token}


def talk(desk: Reception, slack: SlackEmulator) -> None:
    """Make the Slack channel, and have a person write and be answered there."""
    made = desk.post({"name": "Team", "channelType": "slack"})
    assert made.status_code == 201, made.text
    path = f"/{made.json()['id']}"
    user = slack.person("ann")
    slack.say(user, "hello from slack")
    wait_for(lambda: any("hello from slack" in text for text in slack.texts(slack.direct(user))), "her answer on Slack")
    wait_for(lambda: desk.get(path)["messageCount"] == 2, "both messages to be counted")
    (conversation,) = desk.get(f"{path}/conversations")["items"]
    roles = [line["role"] for line in desk.get(f"{path}/conversations/{conversation['id']}/messages")["items"]]
    assert roles == ["assistant", "user"]
    assert desk.http.post(f"/v1/channels{path}/test").json()["ok"] is True
