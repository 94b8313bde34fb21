"""Each persona is a model: the official client and other programs talk with her through OpenAI's API."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam

from tests.daemon.api.v1.asking import PATH, Asked, events, said
from tests.daemon.api.v1.reception import Reception
from tests.daemon_process import wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.patience import PATIENCE

PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
)

FILTERED = Step(status=400, code="content_filter", message="The response was filtered")


@pytest.fixture(scope="module")
def iris(desk: Reception) -> Iterator[Asked[ScriptedMind]]:
    """A persona at the shared daemon."""
    with ScriptedMind() as mind, Asked(desk.daemon, mind, "Iris") as asked:
        yield asked
        assert desk.http.post(f"/api/persona/{asked.persona}/delete").status_code == 200


def test_the_client_gets_a_whole_answer(iris: Asked[ScriptedMind]) -> None:
    """Her words, why they end, and the tokens, under the id that the list shows."""
    word = iris.word()
    found = iris.client.chat.completions.create(
        model="Iris", messages=[{"role": "user", "content": f"Say {word}"}], temperature=0.5, max_tokens=50
    )
    assert found.object == "chat.completion"
    assert found.model == "Iris"
    assert [one.message.content for one in found.choices] == [f"Say {word}"]
    assert found.choices[0].finish_reason == "stop"
    assert found.usage
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0
    assert iris.lines(word) == [("person", f"Say {word}"), ("assistant", f"Say {word}")]


def test_the_client_streams(iris: Asked[ScriptedMind]) -> None:
    """The chunks are one answer with one id; the last ones have its end and its tokens."""
    word = iris.word()
    chunks = list(
        iris.client.chat.completions.create(
            model="Iris",
            messages=[{"role": "user", "content": f"Say {word}"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    spoken = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert spoken[0].delta.role == "assistant"
    assert "".join(one.delta.content or "" for one in spoken) == f"Say {word}"
    assert [one.finish_reason for one in spoken if one.finish_reason] == ["stop"]
    assert not chunks[-1].choices
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.parametrize("stream", [False, True])
def test_the_tokens_are_those_that_her_mind_reports(iris: Asked[ScriptedMind], stream: bool) -> None:
    """With her memory and all that was thought; what its provider had read before is told, too."""
    word = iris.word()
    iris.mind.answer = lambda text: Step(used=(1000, 7, 60)) if word in text else None
    answer = iris.post(word, stream=stream, **({"stream_options": {"include_usage": True}} if stream else {}))
    iris.mind.answer = lambda _: None
    usage = events(answer.text)[-2]["usage"] if stream else answer.json()["usage"]
    assert usage == {
        "prompt_tokens": 1000,
        "completion_tokens": 7,
        "total_tokens": 1007,
        "prompt_tokens_details": {"cached_tokens": 60},
    }


async def test_the_asynchronous_client(iris: Asked[ScriptedMind]) -> None:
    """Several requests at once are answered each, whole and streamed."""
    words = [iris.word() for _ in range(4)]
    async with openai.AsyncOpenAI(
        base_url=f"{iris.daemon.url}/v1", api_key=iris.daemon.token, max_retries=0, timeout=PATIENCE
    ) as client:

        async def whole(word: str) -> str:
            found = await client.chat.completions.create(model="Iris", messages=[{"role": "user", "content": word}])
            return found.choices[0].message.content or ""

        async def streamed(word: str) -> str:
            stream = await client.chat.completions.create(
                model="Iris", messages=[{"role": "user", "content": word}], stream=True
            )
            return "".join([one.choices[0].delta.content or "" async for one in stream])

        answers = await asyncio.gather(whole(words[0]), whole(words[1]), streamed(words[2]), streamed(words[3]))
        models = [one.id async for one in await client.models.list()]
    assert list(answers) == words
    assert "Iris" in models


def test_what_was_said_before_is_told_by_the_request(iris: Asked[ScriptedMind]) -> None:
    """Her mind sees the request's conversation, and its instructions below her own nature; only what is new is kept."""
    before, new, rule = iris.word(), iris.word(), iris.word()
    iris.say(
        said("system", f"Always {rule}."),
        said("user", f"I asked {before}"),
        said("assistant", "And I said so."),
        said("developer", "Be brief."),
        said("user", [{"type": "text", "text": f"Now {new}"}, {"type": "text", "text": "please"}]),
    )
    system, *talk = iris.prompt()
    assert system["role"] == "system"
    assert system["content"].index("You are Iris") < system["content"].index(f"Always {rule}.\n\nBe brief.")
    assert talk == [
        said("user", f"I asked {before}"),
        said("assistant", "And I said so."),
        said("user", f"Now {new}\nplease"),
    ]
    assert iris.lines(before) == []
    assert iris.lines(new)[0] == ("person", f"Now {new}\nplease")
    assert len(iris.lines(rule)) == 0


def test_each_conversation_has_its_own_instructions(iris: Asked[ScriptedMind]) -> None:
    """The next request without any has none."""
    rule = iris.word()
    iris.say(said("system", f"Always {rule}."), iris.word())
    assert rule in iris.prompt()[0]["content"]
    iris.say(iris.word())
    assert rule not in iris.prompt()[0]["content"]


def test_an_unanswered_message_is_not_kept_twice(iris: Asked[ScriptedMind]) -> None:
    """A client that goes on after an error sends the message without an answer again, before the new one."""
    first, second = iris.word(), iris.word()
    iris.say(first)
    iris.say(first, second)
    assert len(iris.lines(first)) == 2
    assert iris.lines(second)[0] == ("person", second)


def test_the_same_question_later_is_a_new_one(iris: Asked[ScriptedMind]) -> None:
    """Once a client has the answer, the same words are said again."""
    word = iris.word()
    iris.say(word)
    iris.say(word)
    assert iris.mind.times(word) == 2
    assert len(iris.lines(word)) == 4


def test_two_who_send_the_same_share_one_answer(iris: Asked[ScriptedMind]) -> None:
    """While a request waits, another one with the same words is the same message."""
    word = iris.word()
    iris.mind.hold(word)
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(iris.say(word))) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: iris.mind.times(word), "her mind to be asked")
    iris.mind.let_go(word)
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [word, word]


def test_store_false_leaves_nothing(iris: Asked[ScriptedMind]) -> None:
    """It is answered with all that she knows, and is in no line, no file, no log."""
    word = iris.word()
    answer = iris.say(said("system", "Be kind."), word, store=False)
    assert answer == word
    assert "Be kind." in iris.prompt()[0]["content"]
    assert iris.lines(word) == []
    state = iris.daemon.state_dir
    assert not [file for file in state.rglob("*") if file.is_file() and word.encode() in file.read_bytes()]
    assert word not in iris.daemon.log.read_text()


def test_an_errand_of_a_program_is_not_kept(iris: Asked[ScriptedMind]) -> None:
    """Open WebUI asks for a title of the chat in the user's name: she answers, and nobody said it to her."""
    word = iris.word()
    task = (
        "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Output:\n"
        f"JSON\n### Chat History:\n<chat_history>\nUSER: {word}\n</chat_history>"
    )
    assert word in iris.say(task, stream=False)
    assert iris.lines(word) == []


@pytest.mark.parametrize("store", [True, False])
def test_a_picture_goes_to_her_eye(iris: Asked[ScriptedMind], store: bool) -> None:
    """It is a picture that the person sent; kept, it is a file of hers, else it is gone afterwards."""
    word = iris.word()
    media = iris.daemon.state_dir / "personas" / iris.persona / "media"
    before = {file.name for file in media.glob("*")}
    iris.say(
        said("user", [{"type": "text", "text": word}, {"type": "image_url", "image_url": {"url": PICTURE}}]),
        store=store,
    )
    assert "an image" in iris.prompt()[-1]["content"]
    assert word in iris.prompt()[-1]["content"]
    files = {file.name for file in media.glob("*")} - before
    if store:
        (name,) = files
        assert (media / name).read_bytes() == base64.b64decode(PICTURE.partition(",")[2])
    else:
        wait_for(lambda: not {file.name for file in media.glob("*")} - before, "its file to be removed")


def test_a_picture_of_an_earlier_message_is_told(iris: Asked[ScriptedMind]) -> None:
    """Clients send it again each time; it is not looked at again."""
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    iris.say(said("user", parts), said("assistant", "I see."), iris.word())
    assert iris.prompt()[1]["content"] == "Look\n(With this the person sent a picture.)"


def test_home_assistant(iris: Asked[ScriptedMind]) -> None:
    """Its extended conversation offers its own functions, and needs words, a reason and the number of tokens."""
    tools: list[ChatCompletionFunctionToolParam] = [
        {"type": "function", "function": {"name": "execute_services", "parameters": {"type": "object"}}}
    ]
    found = iris.client.chat.completions.create(
        model="Iris",
        messages=[
            {"role": "system", "content": "I want you to act as smart home manager of Home Assistant."},
            {"role": "user", "content": "turn on the lamp"},
        ],
        max_tokens=150,
        top_p=1,
        temperature=0.5,
        user="01J9",
        tools=tools,
        tool_choice="auto",
    )
    assert found.choices[0].finish_reason == "stop"
    assert found.choices[0].message.content == "turn on the lamp"
    assert found.choices[0].message.tool_calls is None
    assert found.usage
    assert found.usage.total_tokens > 0


def test_open_webui(iris: Asked[ScriptedMind]) -> None:
    """It lists models for their id and name, and reads the lines of a stream itself."""
    listed = iris.daemon.http.get("/v1/models").json()
    assert listed["object"] == "list"
    (shown,) = [one for one in listed["data"] if one["persona_id"] == iris.persona]
    assert (shown["id"], shown["name"], shown["object"]) == ("Iris", "Iris", "model")
    word = iris.word()
    body = {"stream": True, "model": shown["id"], "messages": [said("user", word)]}
    answer = iris.daemon.http.post(PATH, json=body)
    assert answer.headers["content-type"] == "text/event-stream"
    *chunks, done = events(answer.text)
    assert done == "[DONE]"
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks) == word
    assert all("usage" not in one for one in chunks)


def test_she_is_found_by_id_and_by_name(iris: Asked[ScriptedMind]) -> None:
    """In any capitals; the model that is shown has both."""
    for model in (iris.persona, "Iris", "iris"):
        shown = iris.daemon.http.get(f"/v1/models/{model}").json()
        assert (shown["id"], shown["persona_id"]) == ("Iris", iris.persona)
    assert iris.post(iris.word(), model=iris.persona).json()["model"] == "Iris"


def test_what_she_refuses_is_set_aside_and_taken_up(iris: Asked[ScriptedMind]) -> None:
    """The error is the notice that she gives elsewhere; the same request tries again without a doubled line."""
    word = iris.word()
    iris.mind.answer = lambda text: FILTERED if word in text else None
    answer = iris.post(word)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "content_filter"
    assert answer.headers["x-should-retry"] == "false"
    assert "set it aside" in answer.json()["error"]["message"]
    iris.mind.answer = lambda _: None
    assert iris.say(word) == word
    assert [role for role, words in iris.lines(word) if words == word] == ["person", "assistant"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_gets_its_answer_later(iris: Asked[ScriptedMind], stream: bool) -> None:
    """The message was accepted and is answered once; the same request gets that answer."""
    word = iris.word()
    iris.mind.hold(word)
    with pytest.raises(openai.APITimeoutError):
        iris.client.with_options(timeout=1.0).chat.completions.create(
            model="Iris", messages=[{"role": "user", "content": word}], stream=stream
        )
    wait_for(lambda: iris.mind.times(word), "her mind to be asked")
    iris.mind.let_go(word)
    wait_for(lambda: len(iris.lines(word)) == 2, "her answer to be kept")
    assert iris.say(word) == word
    assert iris.mind.times(word) == 1
    assert len(iris.lines(word)) == 2
