"""Providers with one fault each, of a made-up API; the rule that finds it stands beside each."""

import contextlib
import json
import socket
import time

import httpx
from pydantic import SecretStr

from clinidistill.errors import (
    AuthenticationError,
    ConfigError,
    ProviderError,
    RateLimitError,
    RequestError,
    ServerError,
)
from clinidistill.llm.provider import Provider, RateLimits
from clinidistill.llm.types import Reply, Token, Usage


class Acme(Provider):
    """A good one."""

    def __init__(
        self,
        model: str,
        *,
        api_key: SecretStr | None = None,
        base_url: str = "http://127.0.0.1:1",
        max_tokens: int = 777,
    ):
        self.model, self.url, self.max_tokens = model, f"{base_url}/ask", max_tokens
        self.key = api_key

    def body(self, prompt):
        messages = [{"role": message.role, "text": message.text} for message in prompt.messages]
        return {"model": self.model, "system": prompt.system, "messages": messages, "most": self.max_tokens}

    def build(self, prompt):
        if self.key is None:
            raise ConfigError("Acme needs a key: api_key=")
        return httpx.Request("POST", self.url, content=json.dumps(self.body(prompt)), headers=self.headers())

    def headers(self):
        return {"authorization": f"Bearer {self.key.get_secret_value()}"}

    def read(self, response):
        self.refuse(response)
        try:
            said = response.json()
            return Reply(str(said["answer"]), "stop", Usage(int(said["in"]), int(said["out"])))
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            raise ServerError("Acme's answer cannot be read", status=response.status_code) from None

    def refuse(self, response):
        kinds = {401: AuthenticationError, 403: AuthenticationError, 429: RateLimitError}
        status = response.status_code
        if status >= 400:
            raise kinds.get(status, ServerError if status >= 500 else RequestError)(
                f"Acme said {status}", status=status
            )


def answer(request):
    return httpx.Response(200, json={"answer": '{"mentions": []}', "in": 10, "out": 5})


class Elsewhere(Acme):
    def build(self, prompt):
        request = super().build(prompt)
        return httpx.Request("POST", "http://other.example/ask", content=request.content, headers=request.headers)


class Unbounded(Acme):
    max_tokens = None

    def __init__(self, model: str, *, api_key: SecretStr | None = None):
        super().__init__(model, api_key=api_key)
        del self.max_tokens

    def body(self, prompt):
        return {"messages": [message.text for message in prompt.messages], "system": prompt.system}


class Clocked(Acme):
    def body(self, prompt):
        return {**super().body(prompt), "time": time.perf_counter_ns()}


class Shortened(Acme):
    """Leaves the worked examples out."""

    def body(self, prompt):
        return {**super().body(prompt), "messages": [prompt.messages[-1].text]}


class Questioning(Acme):
    def question(self, prompt):
        return self.url, json.dumps({"system": prompt.system}).encode()


class Cleaning(Acme):
    def body(self, prompt):
        texts = [" ".join(message.text.split()) for message in prompt.messages]
        return {**super().body(prompt), "messages": texts}


class Utf8(Acme):
    def build(self, prompt):
        if self.key is None:
            raise ConfigError("Acme needs a key: api_key=")
        content = json.dumps(self.body(prompt), ensure_ascii=False).encode()
        return httpx.Request("POST", self.url, content=content, headers=self.headers())


class Endless(Acme):
    def body(self, prompt):
        body = super().body(prompt)
        del body["most"]
        return body


class KeyInAddress(Acme):
    def build(self, prompt):
        request = super().build(prompt)
        url = f"{self.url}?key={self.key.get_secret_value()}"
        return httpx.Request("POST", url, content=request.content)

    def question(self, prompt):
        request = self.build(prompt)
        return str(request.url), request.content


class Keyless(Acme):
    def build(self, prompt):
        return httpx.Request("POST", self.url, content=json.dumps(self.body(prompt)), headers=self.headers())


class Mute(Acme):
    def read(self, response):
        super().read(response)
        return Reply("")


class Torn(Acme):
    def read(self, response):
        reply = super().read(response)
        return Reply(reply.text, tokens=(Token("some", -0.1),))


class Flat(Acme):
    """All errors are alike to it."""

    def refuse(self, response):
        if response.status_code >= 400:
            raise ProviderError(f"Acme said {response.status_code}")


class Fragile(Acme):
    def read(self, response):
        self.refuse(response)
        said = response.json()
        return Reply(str(said["answer"]), "stop", Usage(said["in"], said["out"]))


class FragileLimits(Acme):
    def limits(self, response):
        return RateLimits(requests_left=int(response.headers["x-ratelimit-remaining-requests"]))


class Quoting(Acme):
    def refuse(self, response):
        try:
            super().refuse(response)
        except ProviderError as error:
            raise type(error)(f"Acme said {response.text}") from None


class Asking(Acme):
    """Asks the server which models it has before it builds a request."""

    def build(self, prompt):
        with contextlib.suppress(OSError):
            socket.create_connection(("models.example", 443), timeout=0.01)
        return super().build(prompt)


class Shown(Acme):
    """Its key is a plain string."""

    def __init__(self, model: str, *, api_key: str = "", base_url: str = "http://127.0.0.1:1", max_tokens: int = 777):
        super().__init__(model, api_key=SecretStr(str(api_key)), base_url=base_url, max_tokens=max_tokens)


FAULTS = {
    Elsewhere: "provider/attributes",
    Unbounded: "provider/attributes",
    Clocked: "provider/build",
    Shortened: "provider/build",
    Questioning: "provider/build",
    Cleaning: "provider/text",
    Utf8: "provider/text",
    Endless: "provider/max-tokens",
    KeyInAddress: "provider/key",
    Keyless: "provider/key",
    Shown: "provider/key",
    Mute: "provider/reply",
    Torn: "provider/reply",
    Flat: "provider/status",
    Fragile: "provider/hostile",
    FragileLimits: "provider/hostile",
    Quoting: "provider/privacy",
    Asking: "component/network",
}
