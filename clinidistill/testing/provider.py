"""Rules for providers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from clinidistill.component import Component
from clinidistill.errors import (
    AuthenticationError,
    ConfigError,
    ProviderError,
    RateLimitError,
    RequestError,
    ServerError,
)
from clinidistill.llm.provider import Provider, RateLimits
from clinidistill.llm.types import Message, Prompt, Reply
from clinidistill.testing.listening import listening
from clinidistill.testing.notes import CANARY, HOSTILE, LONE_SURROGATE, quotes
from clinidistill.testing.options import is_secret, rebuilt
from clinidistill.testing.rules import Case, Rule, add, broken, leave_out, try_all
from clinidistill.testing.shared import COMPONENT_RULES
from clinidistill.testing.threads import in_threads

__all__ = ["PROVIDER_RULES", "ProviderCase", "check_provider"]

Responses = Iterable[httpx.Response] | Callable[[httpx.Request], httpx.Response]

_KEY = "planted-key-77b2"
_SCHEMA = {
    "type": "object",
    "properties": {"mentions": {"type": "array", "items": {"type": "string"}}},
    "required": ["mentions"],
    "additionalProperties": False,
}
_PROMPT = Prompt(
    "Find medications.",
    (Message("user", "No drugs."), Message("assistant", '{"mentions": []}'), Message("user", "Took aspirin.")),
    _SCHEMA,
)


def check_provider(provider: Provider, responses: Responses = ()) -> dict[str, str]:
    """Check that a provider keeps the contract of :class:`~clinidistill.llm.provider.Provider`.

    Nothing is sent.

    Args:
        provider: the provider, with a key (any will do) if it needs one.
        responses: good answers as the API gives them, recorded, or a function that makes one of a request.

    Returns:
        The rules that could not be tried on it, with why.

    Raises:
        ConformanceError: at the first rule that it breaks.
    """
    return try_all(PROVIDER_RULES, ProviderCase(provider, responses))


class ProviderCase(Case):
    """A provider under test."""

    group = "providers"
    base = Provider
    component: Provider

    def __init__(self, provider: Provider, responses: Responses = ()):
        super().__init__(provider)
        self._given = responses if callable(responses) else list(responses)

    def answers(self) -> list[Any]:
        request = self.component.build(_PROMPT)
        headers = sorted((name, value) for name, value in request.headers.items())
        return [request.method, str(request.url), request.content, headers, [_read(self, r) for r in self.responses()]]

    def beside(self, component: Component) -> ProviderCase:
        assert isinstance(component, Provider)
        return ProviderCase(component, self._given)

    def responses(self) -> list[httpx.Response]:
        """Good answers."""
        if callable(self._given):
            response = self._given(self.component.build(_PROMPT))
            response.read()
            return [response]
        return list(self._given)


def _read(case: ProviderCase, response: httpx.Response) -> Reply:
    return case.component.read(response)


PROVIDER_RULES: list[Rule] = []


@add(PROVIDER_RULES, "provider/attributes")
def attributes_are_set(case: ProviderCase) -> None:
    """It sets `model`, `url` and `max_tokens`, and sends requests to that address, or below it."""
    provider = case.component
    for name, kind in (("model", str), ("url", str), ("max_tokens", int)):
        if not isinstance(getattr(provider, name, None), kind):
            broken(f"{name} is no {kind.__name__}; set it in __init__")
    request = provider.build(_PROMPT)
    asked, told = request.url, httpx.URL(provider.url)
    if (asked.scheme, asked.host, asked.port) != (told.scheme, told.host, told.port):
        broken(f"it sends requests to {asked.host!r} and gives the address {told.host!r}, by which notes are let out")


@add(PROVIDER_RULES, "provider/build")
def requests_are_the_prompt(case: ProviderCase) -> None:
    """`build` gives the same bytes for the same prompt, others for another; `question` gives their address and body."""
    provider = case.component
    one, other = provider.build(_PROMPT), provider.build(_PROMPT)
    if (one.url, one.content) != (other.url, other.content):
        broken("the same prompt gives other bytes the next time; leave times, random ids and unordered sets out")
    if provider.question(_PROMPT) != (str(one.url), one.content):
        broken("question gives other bytes than build, so that no answer would be found again")
    changed = (
        ("system", Prompt("Find symptoms.", _PROMPT.messages, _SCHEMA)),
        ("last message", Prompt(_PROMPT.system, (*_PROMPT.messages[:-1], Message("user", "Took codeine.")), _SCHEMA)),
        ("examples", Prompt(_PROMPT.system, _PROMPT.messages[-1:], _SCHEMA)),
    )
    for what, prompt in changed:
        if provider.build(prompt).content == one.content:
            broken(f"a prompt with another {what} gives the same bytes; send all of it")
    for found in in_threads(lambda: provider.build(_PROMPT).content):
        if found != one.content:
            broken("with several threads at a time the same prompt gives other bytes; keep no state on self")


@add(PROVIDER_RULES, "provider/text")
def notes_go_out_whole(case: ProviderCase) -> None:
    """The request holds the prompt's texts as they are, whatever characters they have."""
    for text in (*HOSTILE, "x" * 100_000):
        note = f"Took {text} aspirin."
        request = case.component.build(Prompt("Find medications.", (Message("user", note),), _SCHEMA))
        try:
            body = json.loads(request.content)
        except ValueError:
            leave_out("its requests are no JSON")
        if not any(note in said for said in _strings(body)):
            broken(f"a text with {text[:20]!a} does not stand in the request as it is; send it unchanged")
    case.component.build(Prompt("Find medications.", (Message("user", LONE_SURROGATE),), None))


@add(PROVIDER_RULES, "provider/max-tokens")
def answers_are_bounded(case: ProviderCase) -> None:
    """Each request says how long an answer may be (`max_tokens`), so that its cost is bounded."""
    try:
        body = json.loads(case.component.build(_PROMPT).content)
    except ValueError:
        leave_out("its requests are no JSON")
    if case.component.max_tokens not in _numbers(body):
        broken(f"the request does not hold max_tokens, {case.component.max_tokens}; always send it")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, (dict, list)):
        items = value.values() if isinstance(value, dict) else value
        return [number for item in items for number in _numbers(item)]
    return [value] if isinstance(value, int) else []


@add(PROVIDER_RULES, "provider/privacy")
def messages_quote_nothing(case: ProviderCase) -> None:
    """No error, log or warning quotes note or answer."""
    said = json.dumps({"error": {"message": CANARY, "type": CANARY, "code": CANARY}, "detail": CANARY}).encode()
    with listening() as heard:
        case.component.build(Prompt(CANARY, (Message("user", CANARY),), _SCHEMA))
        errors = [_error(case.component, _response(status, said)) for status in (200, 400, 401, 404, 429, 500)]
        broken_off = [_error(case.component, _response(200, CANARY.encode()))]
    views = [*heard, *(str(error) for error in [*errors, *broken_off] if error is not None)]
    if any(quotes(view, [CANARY]) for view in views):
        broken("an error or a log quotes what the API answered, which may quote the note; tell status and field names")


@add(PROVIDER_RULES, "provider/key")
def keys_go_into_headers(case: ProviderCase) -> None:
    """A key goes into headers, and into no address, body, repr or error; without one that is needed, ConfigError."""
    from inspect import signature

    provider = case.component
    secrets = [p.name for p in signature(type(provider)).parameters.values() if is_secret(provider, p)]
    if not secrets:
        leave_out("it takes no key")
    for name in secrets:
        keyed = rebuilt(provider, {name: _KEY})
        assert isinstance(keyed, Provider)
        request = keyed.build(_PROMPT)
        errors = [_error(keyed, _response(status, f'{{"error": "{_KEY}"}}'.encode())) for status in (400, 401, 500)]
        views = [str(request.url), repr(request), repr(keyed), repr(keyed.options), *map(repr, errors)]
        if _KEY.encode() in request.content or any(_KEY in view for view in views):
            broken(f"the secret {name!r} stands in an address, body, repr or error; send it in a header")
    with _no_keys():
        try:
            bare = rebuilt(provider, dict.fromkeys(secrets))
            assert isinstance(bare, Provider)
            bare.build(_PROMPT)
        except ConfigError:
            pass


@contextmanager
def _no_keys() -> Iterator[None]:
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.endswith(("_KEY", "_TOKEN"))}
    try:
        yield
    finally:
        os.environ.update(hidden)


@add(PROVIDER_RULES, "provider/reply")
def replies_are_read(case: ProviderCase) -> None:
    """`read` makes a Reply of a good answer, the same each time; its tokens, if it has any, make up its text."""
    responses = case.responses()
    if not responses:
        leave_out("there are no good answers; give responses=")
    for response in responses:
        reply = case.component.read(response)
        if not isinstance(reply, Reply) or not isinstance(reply.text, str) or not reply.text:
            broken("of a good answer it makes no Reply with text")
        if case.component.read(response) != reply:
            broken("it reads the same answer differently the next time; keep no state on self")
        if reply.tokens and "".join(token.text for token in reply.tokens) != reply.text:
            broken("the tokens of a reply do not make up its text; give all of them, or none")
        for count in (reply.usage.input_tokens, reply.usage.output_tokens):
            if count is not None and (not isinstance(count, int) or count < 0):
                broken("a reply's usage is no number of tokens")


_STATUSES: dict[int, type[ProviderError]] = {
    400: RequestError,
    401: AuthenticationError,
    422: RequestError,
    429: RateLimitError,
    500: ServerError,
    503: ServerError,
}


@add(PROVIDER_RULES, "provider/status")
def statuses_are_told_apart(case: ProviderCase) -> None:
    """An error's class says whether asking again may help: 429, 5xx, 401 and 4xx are told apart."""
    for status, expected in _STATUSES.items():
        error = _error(case.component, _response(status, b'{"error": {"message": "no"}}'))
        if not isinstance(error, expected):
            broken(f"of a response {status} it makes {type(error).__name__}; raise {expected.__name__}")


@add(PROVIDER_RULES, "provider/hostile")
def anything_can_be_read(case: ProviderCase) -> None:
    """Whatever comes, `read` gives a Reply or raises a ProviderError, and `limits` gives RateLimits."""
    bodies = [b"", b"null", b"[]", b"{}", b'"text"', b"<html>502</html>", b"\xff\xfe\x00", b"[" * 50_000, b"1" * 5000]
    bodies += [b'{"choices": [{}]}', b'{"content": 3}', b'{"candidates": "x"}', b'{"error": []}']
    for response in case.responses():
        whole = response.content
        bodies += [whole[: len(whole) // 2], *_spoilt(whole)]
    for body in bodies:
        for status in (200, 404, 500):
            _error(case.component, _response(status, body))
    for headers in ({}, {"retry-after": "x"}, {"x-ratelimit-remaining-requests": "-1", "retry-after": "1e999"}):
        response = httpx.Response(200, headers=headers, content=b"{}")
        if not isinstance(case.component.limits(response), RateLimits):
            broken("limits gives no RateLimits; return RateLimits() where headers say nothing")


def _spoilt(body: bytes) -> Iterator[bytes]:
    """A JSON answer with one of its values replaced, in every place."""
    try:
        value = json.loads(body)
    except ValueError:
        return
    for path in _paths(value):
        for bad in (None, 10**30, "x\ud800", [None], {"a": 1}):
            spoilt = json.loads(body)
            if not path:
                spoilt = bad
            else:
                inner = spoilt
                for key in path[:-1]:
                    inner = inner[key]
                inner[path[-1]] = bad
            yield json.dumps(spoilt).encode()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from _paths(item, (*path, key))


def _response(status: int, body: bytes) -> httpx.Response:
    return httpx.Response(status, content=body, headers={"content-type": "application/json"})


def _error(provider: Provider, response: httpx.Response) -> ProviderError | None:
    """The error that reading a response raises, None if it gives a reply; anything else breaks the rule."""
    try:
        reply = provider.read(response)
    except ProviderError as error:
        return error
    except Exception as error:
        fault = f"of a response {response.status_code} it raises {type(error).__name__}; raise a ProviderError"
        broken(fault, "provider/hostile")
    if not isinstance(reply, Reply):
        broken(f"read gives a {type(reply).__name__}; give a Reply", "provider/hostile")
    return None


PROVIDER_RULES += COMPONENT_RULES
