"""The wire format of Parley: how a question is put, and what an answer says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import clinidistill as cd
import httpx
from clinidistill.llm import Prompt, Reply, Usage
from clinidistill.llm.provider import RateLimits
from pydantic import SecretStr

__all__ = ["Parley", "ParleyTeacher"]

_KEY = "PARLEY_KEY"


class Parley(cd.Provider):
    """Parley: ``POST /v1/parley`` with a model, instructions and turns; an answer comes with its tokens and limits.

    A provider never touches the network. It builds requests and reads responses; pace, retries, the store of answers,
    money and grounding come with it.

    Args:
        model: the model's name.
        base_url: the server's address. Notes leave this machine unless it is on loopback.
        api_key: None takes PARLEY_KEY from the environment; without one, none is sent.
        max_tokens: most tokens of an answer.
    """

    def __init__(
        self,
        model: str = "parrot-1",
        base_url: str = "http://localhost:8123",
        api_key: SecretStr | None = None,
        max_tokens: int = 1024,
    ):
        self.model, self.url, self.max_tokens = model, f"{base_url.rstrip('/')}/v1/parley", max_tokens
        self._key = api_key

    def build(self, prompt: Prompt) -> httpx.Request:
        turns = [{"from": message.role, "says": _sendable(message.text)} for message in prompt.messages]
        body = {"model": self.model, "rules": prompt.system, "turns": turns, "most": self.max_tokens}
        if prompt.sample:  # another sample of one question must be another request
            body["roll"] = prompt.sample
        return httpx.Request("POST", self.url, json=body, headers=self._headers())

    def read(self, response: httpx.Response) -> Reply:
        if response.status_code != 200:
            raise _error(response)
        try:
            answer = response.json()
            usage = Usage(int(answer["heard"]), int(answer["spoken"]))
            return Reply(str(answer["says"]), "stop" if answer["done"] else "length", usage, str(answer["model"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise cd.errors.ServerError("sent a body that is no answer of Parley's", status=200, billed=True) from None

    def limits(self, response: httpx.Response) -> RateLimits:
        """What it says in ``parley-pace`` (requests a minute) and ``parley-left`` (those still free)."""
        return RateLimits(
            requests_per_minute=_number(response, "parley-pace"), requests_left=_number(response, "parley-left")
        )

    def _headers(self) -> Mapping[str, str]:
        key = self._key.get_secret_value() if self._key is not None else os.environ.get(_KEY, "")
        return {"parley-key": key} if key else {}


class ParleyTeacher(cd.LanguageModelTeacher, over=Parley):
    """A model of Parley's API."""


def _sendable(text: str) -> str:
    """Half a surrogate pair, which UTF-8 cannot carry, as U+FFFD: offsets stay."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _number(response: httpx.Response, header: str) -> float | None:
    value = response.headers.get(header, "")
    return float(value) if re.fullmatch(r"[0-9]{1,9}", value) else None


def _error(response: httpx.Response) -> cd.errors.ProviderError:
    """The class says whether asking again may help. No text of the response: it may quote the note."""
    status = response.status_code
    if status in {401, 403}:
        return cd.errors.AuthenticationError(f"Parley refuses the key; set {_KEY}", status=status)
    if status == 429:
        return cd.errors.RateLimitError("Parley asks to wait", status=status, delay=_number(response, "retry-after"))
    if status >= 500:
        return cd.errors.ServerError("Parley broke", status=status)
    return cd.errors.RequestError("Parley refuses the request", status=status)
