"""Twilio on loopback: numbers, messages that come and go, their media, signed webhooks, error codes."""

from __future__ import annotations

import base64
import itertools
import secrets
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from twilio.request_validator import RequestValidator

from tests.emulators.loopback import Call, Failure, Loopback
from tests.patience import PATIENCE

ROOT: Final = "/2010-04-01/Accounts"
FORM: Final = "application/x-www-form-urlencoded"
OPTING: Final = {"stop": True, "start": False, "unstop": False}

Json = dict[str, Any]


class TwilioEmulator(Loopback):
    """One account. ``page`` is the maximum number of messages on a page of a list."""

    def __init__(self, *numbers: str) -> None:
        self.sid = "AC" + secrets.token_hex(16)
        self.token = secrets.token_hex(16)
        self.status = "active"
        self.page = 1000
        self.redirect_to = ""
        self.numbers: dict[str, Json] = {}
        self.messages: list[Json] = []
        self.media: dict[str, tuple[str, bytes]] = {}
        self.opted_out: set[str] = set()
        self.callbacks: dict[str, str] = {}
        self._ids = itertools.count(1)
        super().__init__()
        for number in numbers:
            self.add_number(number)

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{ROOT}/{{sid}}.json", self._answer, methods=["GET"]),
            Route(f"{ROOT}/{{sid}}/IncomingPhoneNumbers.json", self._answer, methods=["GET"]),
            Route(f"{ROOT}/{{sid}}/IncomingPhoneNumbers/{{number}}.json", self._answer, methods=["POST"]),
            Route(f"{ROOT}/{{sid}}/Messages.json", self._answer, methods=["GET", "POST"]),
            Route(f"{ROOT}/{{sid}}/Messages/{{message}}/Media.json", self._answer, methods=["GET"]),
            Route(f"{ROOT}/{{sid}}/Messages/{{message}}/Media/{{media}}", self._answer, methods=["GET"]),
            Route("/cdn/{media}", self._file, methods=["GET"]),
        ]

    def refusal(self, status: int, code: int | None, message: str) -> Response:
        return JSONResponse({"code": code, "message": message, "status": status}, status)

    def add_number(self, number: str, *, sms: bool = True, sms_url: str = "") -> None:
        """A number of the account's."""
        self.numbers[number] = {
            "sid": "PN" + secrets.token_hex(16),
            "phone_number": number,
            "friendly_name": f"Line {number}",
            "capabilities": {"sms": sms, "mms": sms, "voice": True},
            "sms_url": sms_url,
        }

    def text(self, sender: str, to: str, words: str, *files: tuple[str, bytes], at: float | None = None) -> Json:
        """Store a message that somebody sends to a number, and return its resource. No webhook is called."""
        bare = sender.removeprefix("whatsapp:")
        if (out := OPTING.get(words.strip().lower())) is not None and bare == sender:
            (self.opted_out.add if out else self.opted_out.discard)(sender)
        message = self._message("inbound", sender, to, words, "received", at)
        for kind, data in files:
            self.media[f"ME{next(self._ids):032x}"] = (kind, data)
        message["media"] = list(self.media)[len(self.media) - len(files) :]
        message["num_media"] = str(len(files))
        return message

    def form(self, message: Json, **fields: str) -> dict[str, str]:
        """The fields of the webhook request that brings this message."""
        base = f"{self.url}{ROOT}/{self.sid}/Messages/{message['sid']}/Media"
        media = {
            name: value
            for number, one in enumerate(message["media"])
            for name, value in (
                (f"MediaUrl{number}", f"{base}/{one}"),
                (f"MediaContentType{number}", self.media[one][0]),
            )
        }
        return {
            "ToCountry": "US",
            "SmsMessageSid": message["sid"],
            "NumMedia": message["num_media"],
            "SmsSid": message["sid"],
            "SmsStatus": "received",
            "Body": message["body"],
            "To": message["to"],
            "NumSegments": "1",
            "MessageSid": message["sid"],
            "AccountSid": self.sid,
            "From": message["from"],
            "ApiVersion": "2010-04-01",
            **media,
            **fields,
        }

    def settle(self, sid: str, status: str, code: int | None = None) -> dict[str, str]:
        """Deliver one of her messages, or let it fail, and return the fields of the status callback."""
        message = next(one for one in self.messages if one["sid"] == sid)
        message["status"], message["error_code"] = status, code
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": status,
            "SmsStatus": status,
            "To": message["to"],
            "From": message["from"],
            "AccountSid": self.sid,
        }
        return form | ({"ErrorCode": str(code)} if code else {})

    def sign(self, url: str, form: dict[str, str]) -> str:
        """Twilio's own signature of a form."""
        signature: str = RequestValidator(self.token).compute_signature(url, form)
        return signature

    def call(self, target: str, public_url: str, form: dict[str, str]) -> httpx.Response:
        """Send a webhook request for a public URL to the local address that it leads to."""
        headers = {"content-type": FORM, "x-twilio-signature": self.sign(public_url, form)}
        return httpx.post(target, content=urlencode(form).encode(), headers=headers, timeout=PATIENCE, trust_env=False)

    @property
    def sent(self) -> list[Json]:
        """Return what she sent, oldest first."""
        return [message for message in self.messages if message["direction"] == "outbound-api"]

    def _message(self, direction: str, sender: str, to: str, body: str, status: str, at: float | None) -> Json:
        when = datetime.fromtimestamp(at, UTC) if at is not None else datetime.now(UTC)
        message: Json = {
            "sid": f"SM{next(self._ids):032x}",
            "direction": direction,
            "from": sender,
            "to": to,
            "body": body,
            "status": status,
            "num_media": "0",
            "date_sent": format_datetime(when),
            "date_created": format_datetime(when),
            "error_code": None,
            "error_message": None,
            "media": [],
        }
        self.messages.append(message)
        return message

    async def _answer(self, request: Request) -> Response:
        call = await self.record(request)
        failure = self.scripted(request)
        if failure and failure.trouble != "lost":
            return self.failed(failure)
        pair = base64.b64encode(f"{self.sid}:{self.token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {pair}":
            return self.refusal(401, 20003, "Authenticate")
        answer = self._handle(request, call)
        return self.failed(Failure("", "", trouble="lost")) if failure else answer

    def _handle(self, request: Request, call: Call) -> Response:
        path = request.url.path.removeprefix(f"{ROOT}/{self.sid}")
        match call.method, path.strip("/").split("/"):
            case "GET", [".json"]:
                return JSONResponse({"sid": self.sid, "status": self.status, "friendly_name": "Hers"})
            case "GET", ["IncomingPhoneNumbers.json"]:
                found = [one for number, one in self.numbers.items() if number == call.params.get("PhoneNumber")]
                return JSONResponse({"incoming_phone_numbers": found})
            case "POST", ["IncomingPhoneNumbers", _]:
                number = next(one for one in self.numbers.values() if one["sid"] in path)
                number["sms_url"] = call.body["SmsUrl"]
                return JSONResponse(number)
            case "GET", ["Messages.json"]:
                return self._list(call.params)
            case "POST", ["Messages.json"]:
                return self._send(call.body)
            case "GET", ["Messages", sid, "Media.json"]:
                message = next(one for one in self.messages if one["sid"] == sid)
                files = [{"sid": one, "content_type": self.media[one][0]} for one in message["media"]]
                return JSONResponse({"media_list": files})
            case "GET", ["Messages", _, "Media", media]:
                return RedirectResponse(self.redirect_to or f"{self.url}/cdn/{media}")
            case _:
                return self.refusal(404, 20404, "not found")

    def _list(self, params: dict[str, str]) -> Response:
        found = [
            message
            for message in reversed(self.messages)
            if params.get("To", message["to"]) == message["to"]
            and params.get("From", message["from"]) == message["from"]
            and _day(message) >= params.get("DateSent>", "")
        ]
        start, size = int(params.get("Page", "0")), min(int(params.get("PageSize", "50")), self.page)
        rest = {**params, "Page": str(start + 1)}
        more = len(found) > (start + 1) * size
        uri = f"{ROOT}/{self.sid}/Messages.json?{urlencode(rest)}" if more else None
        return JSONResponse({"messages": found[start * size : (start + 1) * size], "next_page_uri": uri})

    def _send(self, form: dict[str, str]) -> Response:
        to, body, sender = form.get("To", ""), form.get("Body", ""), form.get("From", "")
        if not body:
            return self.refusal(400, 21602, "Message body is required")
        if len(body) > 1600:
            return self.refusal(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if "MessagingServiceSid" not in form and sender.removeprefix("whatsapp:") not in self.numbers:
            return self.refusal(400, 21606, f"The 'From' number {sender} is not a valid phone number")
        if to in self.opted_out:
            return self.refusal(400, 21610, "Attempt to send to unsubscribed recipient")
        message = self._message("outbound-api", sender, to, body, "queued", None)
        if callback := form.get("StatusCallback"):
            self.callbacks[message["sid"]] = callback
        return JSONResponse(message, 201)

    async def _file(self, request: Request) -> Response:
        await self.record(request)
        kind, data = self.media[request.path_params["media"]]
        return Response(data, media_type=kind)


def _day(message: Json) -> str:
    day: str = datetime.strptime(message["date_sent"], "%a, %d %b %Y %H:%M:%S %z").date().isoformat()
    return day
