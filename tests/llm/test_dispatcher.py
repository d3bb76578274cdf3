from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import ssl
import time
import traceback
import zlib

import httpx
import pytest
from fault_server import FAULTS, FaultServer, http

from clinidistill.errors import (
    AuthenticationError,
    ConfigError,
    LabelingStopped,
    ProviderError,
    RateLimitError,
    RequestError,
    ServerDownError,
    ServerError,
)
from clinidistill.llm.dispatcher import Dispatcher
from clinidistill.llm.provider import Provider, RateLimits
from clinidistill.llm.types import Reply

pytestmark = pytest.mark.alone  # waits, deadlines, requests a second

KEY = "sk-very-secret-0123456789"
NOTE = "Mr. Private has a secret illness"
QUICK = {"timeout": 2.0, "deadline": 5.0, "backoff": 0.01}


class Tiny(Provider):
    """An API with the errors and headers that the tests need."""

    def __init__(self, url, key=KEY):
        self.url, self.key, self.model, self.max_tokens = url, key, "m", 10

    def build(self, prompt):
        body = json.dumps({"note": NOTE, "number": prompt}).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return httpx.Request("POST", f"{self.url}/chat?hidden={KEY}", content=body, headers=headers)

    def read(self, response):
        status, delay = response.status_code, None
        if "retry-after" in response.headers:
            delay = float(response.headers["retry-after"])
        if "retry-after-ms" in response.headers:
            delay = float(response.headers["retry-after-ms"]) / 1000
        if status == 200:
            return Reply(response.text)
        for detail in response.json()["error"].get("details", ()):
            delay = float(detail["retryDelay"].rstrip("s"))
        kind = {429: RateLimitError, 401: AuthenticationError}.get(
            status, ServerError if status >= 500 else RequestError
        )
        raise kind(f"status {status}", status=status, delay=delay)

    def limits(self, response):
        names = ("requests_per_minute", "requests_left", "requests_reset")
        got = {name: response.headers.get(name.replace("_", "-")) for name in names}
        return RateLimits(**{name: float(value) for name, value in got.items() if value is not None})


def dispatch(url, count=1, *, key=KEY, before_attempt=None, outcomes=True, tokens=0, **options):
    """Send `count` requests at once; what came of each, the statistics, and the seconds it took."""

    async def main():
        provider = Tiny(url, key)
        async with Dispatcher(provider, **QUICK | options) as dispatcher:
            began = time.monotonic()
            sends = (dispatcher.send(provider.build(n), tokens, before_attempt) for n in range(count))
            got = await asyncio.wait_for(asyncio.gather(*sends, return_exceptions=True), 30)
            assert dispatcher.in_flight == 0
            return got, dispatcher.stats, time.monotonic() - began, dispatcher.concurrency

    got, stats, seconds, concurrency = asyncio.run(main())
    return got, stats, seconds, concurrency


def one(url, **options):
    (got,), stats, seconds, _ = dispatch(url, **options)
    return got, stats, seconds


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def test_an_answer_comes_with_its_body_read():
    with FaultServer() as server:
        got, stats, _ = one(server.url)
    assert got.status_code == 200
    assert got.json()["choices"]
    assert (stats.attempts, stats.retries, stats.answers) == (1, 0, 1)


def test_a_fixed_concurrency_is_how_many_are_in_flight():
    with FaultServer(delay=0.05) as server:
        got, *_ = dispatch(server.url, 60, concurrency=7)
    assert {response.status_code for response in got} == {200}
    assert server.peak == 7


def test_concurrency_grows_while_the_server_keeps_up_and_stays_below_the_highest():
    with FaultServer(delay=0.1) as server:
        _, _, _, concurrency = dispatch(server.url, 120, max_concurrency=20)
    assert server.peak == concurrency == 20
    arrivals = [at - server.times[0] for at in server.times]
    assert arrivals[3] < 0.1 <= arrivals[4]  # four at first


@pytest.mark.parametrize("kind", ["retry_after", "retry_after_ms", "retry_info"])
def test_the_servers_own_delay_is_honoured(kind):
    with FaultServer([kind], wait=0.3) as server:
        got, stats, _ = one(server.url)
    assert got.status_code == 200
    assert 0.3 <= server.times[1] - server.times[0] < 2
    assert (stats.rate_limited, stats.faults) == (1, 0)


def test_a_delay_holds_for_everyone():
    with FaultServer(["retry_after"], wait=0.3, delay=0.01) as server:
        dispatch(server.url, 6, concurrency=1)
    first, *later = server.times
    assert all(at - first >= 0.3 for at in later)


def test_without_a_delay_it_backs_off_by_itself():
    with FaultServer(["rate_limit", "rate_limit", "error_503"]) as server:
        got, stats, _ = one(server.url, backoff=0.05)
    assert got.status_code == 200
    assert server.times[3] - server.times[2] >= 0.2  # 0.05, doubled twice
    assert (stats.attempts, stats.retries, stats.rate_limited, stats.faults) == (4, 3, 2, 1)


def test_a_delay_beyond_the_deadline_fails_at_once_and_says_so():
    with FaultServer(["retry_after"], wait=3600) as server:
        got, _, seconds = one(server.url)
    assert isinstance(got, RateLimitError)
    assert (got.status, got.delay) == (429, 3600)
    assert "3600 s" in str(got)
    assert "deadline" in str(got)
    assert seconds < 10


def test_a_delay_beyond_the_deadline_holds_others_up_for_a_deadline_at_most():
    with FaultServer(["retry_after"], wait=3600) as server:
        got, _, seconds, _ = dispatch(server.url, 4, concurrency=1, deadline=0.4)
    assert isinstance(got[0], RateLimitError)
    assert [response.status_code for response in got[1:]] == [200] * 3
    assert 0.4 <= seconds < 10


def test_the_deadline_bounds_all_attempts_and_waits():
    with FaultServer({"error_503": 1.0}) as server:
        got, stats, seconds = one(server.url, deadline=0.5, backoff=0.1, attempts=1000)
    assert isinstance(got, ServerError)
    assert "deadline" in str(got)
    assert 0.4 < seconds < 5
    assert stats.attempts > 1


def test_attempts_are_counted():
    with FaultServer({"error_500": 1.0}) as server:
        got, stats, _ = one(server.url, attempts=3)
    assert isinstance(got, ServerError)
    assert got.status == 500
    assert stats.attempts == len(server.times) == 3


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_one_attempt_is_bounded_as_a_whole(kind):
    with FaultServer([kind]) as server:
        got, stats, seconds = one(server.url, timeout=0.3)
    assert got.status_code == 200
    assert 0.3 <= seconds < 5
    assert stats.faults == 1


@pytest.mark.parametrize("kind", ["hang", "drip", "reset"])
def test_what_died_on_the_way_back_may_have_been_billed(kind):
    errors = []

    async def note(error):
        errors.append(error)

    with FaultServer([kind]) as server:
        got, *_ = one(server.url, timeout=0.3, before_attempt=note)
    assert got.status_code == 200
    nothing, error = errors
    assert nothing is None
    assert isinstance(error, ServerError)
    assert error.billed
    assert error.status is None


def test_what_never_got_out_was_not_billed():
    got, _, _ = one(f"http://127.0.0.1:{free_port()}", attempts=2)
    assert isinstance(got, ServerError)
    assert not got.billed


def test_before_attempt_can_forbid_more():
    async def forbid(error):
        if error is not None:
            raise LabelingStopped("no money")

    with FaultServer({"error_503": 1.0}) as server:
        got, stats, _ = one(server.url, before_attempt=forbid)
    assert isinstance(got, LabelingStopped)
    assert isinstance(got.__cause__, ServerError)
    assert stats.attempts == 1


def test_a_refused_request_is_not_sent_again():
    with FaultServer(["bad"], extra={"bad": http(400, {"error": {"message": NOTE}})}) as server:
        got, stats, _ = one(server.url)
    assert type(got) is RequestError
    assert got.status == 400
    assert (stats.attempts, stats.refused) == (1, 1)


def test_a_page_that_is_not_the_apis_counts_by_its_status():
    page = http(502, b"<html>Bad Gateway</html>")
    with FaultServer(["page"], extra={"page": page}) as server:
        got, stats, _ = one(server.url)
    assert got.status_code == 200
    assert stats.faults == 1


def test_redirects_are_not_followed():
    with FaultServer() as elsewhere:
        away = http(307, location=f"{elsewhere.url}/chat")
        with FaultServer(["away"], extra={"away": away}) as server:
            got, *_ = one(server.url)
        assert elsewhere.times == []
    assert type(got) is RequestError
    assert got.status == 307
    assert "redirects" in str(got)
    assert "base_url" in str(got)


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(http(200, b"x" * 2_000_000), id="long"),
        pytest.param(http(200, gzip.compress(b"\0" * 50_000_000), content_encoding="gzip"), id="gzip"),
        pytest.param(http(200, zlib.compress(b"\0" * 50_000_000), content_encoding="deflate"), id="deflate"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n",
            id="chunked",
        ),
    ],
)
def test_a_body_over_the_bound_is_cut_off(bomb):
    with FaultServer(["bomb"], extra={"bomb": bomb}) as server:
        got, stats, _ = one(server.url, max_bytes=1_000_000)
    assert type(got) is RequestError
    assert got.billed
    assert got.status == 200
    assert "max_bytes" in str(got)
    assert stats.attempts == 1


def test_encodings_on_top_of_each_other_are_not_unpacked():
    twice = gzip.compress(gzip.compress(b"\0" * 1_000_000))
    bomb = http(200, twice, content_encoding="gzip, gzip")
    with FaultServer(["bomb"], extra={"bomb": bomb}) as server:
        got, *_ = one(server.url)
    assert type(got) is RequestError
    assert got.billed


@pytest.mark.parametrize("cut", [0, 10])
def test_a_compressed_answer_is_unpacked_and_a_cut_one_asked_for_again(cut):
    packed = gzip.compress(json.dumps({"answer": "ä" * 500}).encode())
    with FaultServer(
        ["packed"], extra={"packed": http(200, packed[: len(packed) - cut], content_encoding="gzip")}
    ) as server:
        got, stats, _ = one(server.url)
    assert got.status_code == 200
    assert ("answer" in got.json()) == (cut == 0)
    assert stats.faults == (cut > 0)


def test_requests_per_minute_are_kept():
    with FaultServer() as server:
        dispatch(server.url, 6, requests_per_minute=600)  # 10 a second, and a second's worth at once
        dispatch(server.url, 16, requests_per_minute=600)
    later = server.times[6:]
    assert later[9] - later[0] < 0.5
    assert later[15] - later[0] >= 0.55


def test_tokens_per_minute_are_kept():
    with FaultServer() as server:
        dispatch(server.url, 8, tokens=50, tokens_per_minute=15000)  # 250 a second, and a second's worth at once
    assert server.times[4] - server.times[0] < 0.5
    assert server.times[7] - server.times[0] >= 0.55


def test_nothing_left_waits_for_the_reset_that_the_headers_name():
    with FaultServer(headers={"requests_left": 0, "requests_reset": 0.3}) as server:
        dispatch(server.url, 2, concurrency=1)
    assert server.times[1] - server.times[0] >= 0.3


def test_limits_are_learned_from_headers():
    headers = {"requests_per_minute": 600, "requests_left": 1}
    with FaultServer(headers=headers) as server:
        dispatch(server.url, 6, concurrency=1)
    assert server.times[5] - server.times[0] >= 0.35


def test_a_server_that_gives_only_faults_ends_the_run_for_everyone():
    with FaultServer({"error_503": 1.0}) as server:
        got, stats, seconds, _ = dispatch(server.url, 50, concurrency=4, patience=0.3, attempts=1000, deadline=60)
    assert {type(error) for error in got} == {ServerDownError}
    assert seconds < 15
    assert f"127.0.0.1:{server.port}" in str(got[0])
    assert "503" in str(got[0])


def test_a_dead_port_ends_the_run_though_others_back_off_for_long():
    port = free_port()
    got, _, seconds, _ = dispatch(
        f"http://127.0.0.1:{port}", 50, concurrency=8, patience=0.2, attempts=1000, backoff=0.1, deadline=60
    )
    assert {type(error) for error in got} == {ServerDownError}
    assert f"127.0.0.1:{port}" in str(got[0])
    assert "listens" in str(got[0])
    assert seconds < 15


def test_a_wrong_key_ends_the_run_for_everyone_at_once():
    with FaultServer({"wrong": 1.0}, extra={"wrong": http(401, {"error": {}})}, delay=0.02) as server:
        got, stats, seconds, _ = dispatch(server.url, 50, concurrency=4)
    assert {type(error) for error in got} == {AuthenticationError}
    assert stats.attempts <= 4
    assert seconds < 10


def test_stop_lets_what_is_in_flight_finish():
    async def main(url):
        provider = Tiny(url)
        async with Dispatcher(provider, concurrency=3, **QUICK) as dispatcher:
            sends = [asyncio.ensure_future(dispatcher.send(provider.build(n))) for n in range(10)]
            await asyncio.sleep(0.1)
            dispatcher.stop()
            return await asyncio.gather(*sends, return_exceptions=True)

    with FaultServer(delay=0.3) as server:
        got = asyncio.run(main(server.url))
    assert [type(result) for result in got] == [httpx.Response] * 3 + [LabelingStopped] * 7
    assert len(server.times) == 3


@pytest.mark.parametrize(
    "faults",
    [["hang"], ["retry_after"], ["error_503", "hang"], []],
    ids=["in flight", "backing off", "in flight again", "at the gate"],
)
def test_cancelling_passes_through_and_frees_the_place(faults):
    async def main(url):
        provider = Tiny(url)
        async with Dispatcher(provider, concurrency=1, **QUICK) as dispatcher:
            ahead = [] if faults else [asyncio.ensure_future(dispatcher.send(provider.build(0)))]
            task = asyncio.ensure_future(dispatcher.send(provider.build(1)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.gather(*ahead)
            assert dispatcher.in_flight == 0
            return await dispatcher.send(provider.build(2))

    with FaultServer(faults, wait=0.5, delay=0.0 if faults else 0.3) as server:
        assert asyncio.run(main(server.url)).status_code == 200


def test_the_environments_proxy_is_not_for_loopback(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FaultServer() as server:
        got, *_ = one(server.url, attempts=1)
    assert got.status_code == 200


@pytest.mark.parametrize("way", ["option", "environment"])
def test_other_hosts_are_reached_through_the_proxy(monkeypatch, way):
    with FaultServer() as proxy:
        address = f"http://user:pass@127.0.0.1:{proxy.port}"
        options = {"proxy": address}
        if way == "environment":
            options = {}
            monkeypatch.setenv("http_proxy", address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        got, *_ = one("http://teacher.invalid/v1", **options)
    assert got.status_code == 200
    assert proxy.heads[0].startswith(b"POST http://teacher.invalid/v1/chat?")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in proxy.heads[0]


def test_no_proxy_is_heeded(monkeypatch):
    with FaultServer() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "teacher.invalid")
        got, *_ = one("http://teacher.invalid/v1", attempts=1)
        assert proxy.times == []
    assert isinstance(got, ServerError)
    assert not got.billed


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1 with its key."""
    import datetime
    import ipaddress

    x509 = pytest.importorskip("cryptography.x509", reason="cryptography makes the test's certificate")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    no = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no),
    )
    return public, private


def test_certificates_are_checked_and_a_custom_authority_can_be_given(certificate, monkeypatch):
    public, private = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    with FaultServer(tls=context) as server:
        refused, *_ = one(server.url, attempts=1)
        trusted, *_ = one(server.url, ca_bundle=public)
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        by_environment, *_ = one(server.url)
    assert isinstance(refused, ServerError)
    assert not refused.billed
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused)
    assert "ca_bundle" in str(refused)
    assert trusted.status_code == by_environment.status_code == 200


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"timeout": -1}, {"attempts": 0}, {"requests_per_minute": 0}])
def test_options_that_cannot_work_are_refused(options):
    (name,) = options
    with pytest.raises(ConfigError, match=name):
        Dispatcher(Tiny("http://127.0.0.1:1"), **options)


def test_certificates_that_cannot_be_read_are_named(tmp_path):
    missing = tmp_path / "missing.pem"
    with pytest.raises(ConfigError, match="missing.pem"):
        Dispatcher(Tiny("http://127.0.0.1:1"), ca_bundle=missing)


def test_a_proxy_that_is_no_address_is_refused_without_its_password():
    with pytest.raises(ConfigError, match="proxy") as caught:
        Dispatcher(Tiny("http://127.0.0.1:1"), proxy=f"ftp://user:{KEY}@host:99999999")
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("key", [KEY, f"{KEY}\n"], ids=["good key", "key with a line break"])
def test_logs_and_errors_hold_neither_keys_nor_notes_nor_queries(caplog, key):
    for name in ("", "httpx", "httpcore", "stamina", "asyncio", "httpcore.connection", "httpcore.http11"):
        caplog.set_level(logging.DEBUG, logger=name)
    faults = {kind: 1 / len(FAULTS) for kind in FAULTS} | {"wrong": 0.05}
    extra = {"wrong": http(400, {"error": {"message": f"{NOTE} {KEY}"}})}
    with FaultServer(faults, wait=0.01, extra=extra) as server:
        got, stats, _, _ = dispatch(server.url, 60, key=key, timeout=0.2, attempts=2)
    errors = [result for result in got if isinstance(result, BaseException)]
    assert errors
    assert all(isinstance(error, ProviderError) for error in errors)
    shown = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for error in errors:
        shown += repr(error) + "".join(traceback.format_exception(error))
        while (error := error.__cause__ or error.__context__) is not None:
            shown += repr(error)
    assert len(caplog.records) > 100 or key != KEY
    for secret in (KEY, NOTE, "Private", "hidden="):
        assert secret not in shown
    if key == KEY:
        assert stats.answers > 0


def test_an_answer_of_ten_megabytes_is_read_whole():
    with FaultServer(["huge"]) as server:
        got, stats, _ = one(server.url)
    assert len(got.json()["choices"][0]["message"]["content"]) == 10_000_000
    assert stats.attempts == 1


def test_every_fault_ends_as_an_answer_and_each_answer_was_paid_once():
    faults = dict.fromkeys(FAULTS, 0.03) | {"hang": 0.002, "drip": 0.002}
    del faults["huge"]  # on a busy machine it may take longer than the time-out
    with FaultServer(faults, seed=8, wait=0.01) as server:
        got, stats, _, _ = dispatch(server.url, 1000, concurrency=64, timeout=2.0, attempts=20)
    assert {type(result) for result in got} == {httpx.Response}
    assert set(server.billed.values()) == {1}
    assert len(server.billed) == stats.answers == 1000
    assert set(server.kinds) == {*faults, "good"}
    limited = ("rate_limit", "retry_after", "retry_after_ms", "retry_info")
    assert stats.rate_limited == sum(server.kinds[kind] for kind in limited)
