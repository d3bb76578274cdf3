import subprocess
import sys
import time
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelInfo

from clinidistill.errors import ConfigError
from clinidistill.llm.prices import Price, Rates, price_of
from clinidistill.llm.types import Usage

USAGES = [
    Usage(0, 0),
    Usage(1000, 200),
    Usage(1000, 200, cached_tokens=400),
    Usage(1000, 200, cached_tokens=400, cache_write_tokens=600),
    Usage(300_000, 20_000, cached_tokens=1000),
    Usage(2_000_000, 20_000, cached_tokens=1_000_000, cache_write_tokens=1000),
    *(Usage(at, 1000) for at in (100_000, 100_001, 128_000, 128_001, 200_000, 200_001, 272_000, 272_001)),
]


def _theirs(provider: str, model: str, usage: Usage) -> float:
    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens or None,
        cache_write_tokens=usage.cache_write_tokens or None,
    )
    return float(genai_prices.calc_price(counted, model, provider_id=provider).total_price)


def _listed() -> list[tuple[str, ModelInfo]]:
    ours = [each for each in providers if each.id in {"openai", "google", "anthropic"}]
    return [(each.id, model) for each in ours for model in each.models]


def test_every_priced_model_costs_what_genai_prices_says():
    compared = 0
    for provider, model in _listed():
        if isinstance(model.prices, list) and isinstance(model.prices[-1], ConditionalPrice):
            continue  # what is to change within the day costs the dearest: below
        price = price_of(provider, model.id)
        if price is None or provider == "google" and model.id.startswith("claude"):
            continue
        for usage in USAGES:
            assert price.cost(usage) == pytest.approx(_theirs(provider, model.id, usage), rel=1e-9), model.id
        compared += 1
    assert compared > 100


def test_a_price_that_changed_in_the_past_is_the_present_one():
    assert price_of("openai", "o3").cost(Usage(1000, 100)) == pytest.approx(_theirs("openai", "o3", Usage(1000, 100)))


@pytest.mark.parametrize(
    ("provider", "name", "same_as"),
    [
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("google", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("openai", "GPT-4o", "gpt-4o"),
    ],
)
def test_dated_and_qualified_names_have_their_models_price(provider, name, same_as):
    assert price_of(provider, name) == price_of(provider, same_as) is not None


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        (None, "gpt-4o"),
        ("nobody", "gpt-4o"),
        ("openai", "llama3"),
        ("openai", "gpt2"),
        ("openai", "meta-llama/Llama-3-8B"),
        ("openai", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("openai", "my-gpt-4o"),
        ("openai", "gpt-4o-my-finetune"),
        ("openai", "ft:gpt-4o-mini:clinic::x"),
        ("openai", "claude-3-5-sonnet"),
        ("google", "gpt-4o"),
        ("anthropic", "gemini-2.5-pro"),
        ("openai", ""),
        ("openai", "whisper-1"),
    ],
)
def test_what_is_not_in_the_providers_list_has_no_price_rather_than_a_price_of_nothing(provider, name):
    assert price_of(provider, name) is None


def test_a_price_given_by_the_caller_goes_first():
    price = price_of("openai", "gpt-4o", {"input": 1, "output": 2, "cached": 0.5})
    assert price == Price(((0, Rates(1.0, 2.0, 0.5, 1.0)),))
    assert price.cost(Usage(1_000_000, 1_000_000, cached_tokens=500_000)) == 0.5 + 0.25 + 2
    assert price_of(None, "local", {"input": 0, "output": 0}).cost(Usage(10, 10)) == 0


@pytest.mark.parametrize(
    "override",
    [{}, {"input": 1}, {"input": 1, "output": -1}, {"input": "1", "output": 1}, {"input": 1, "output": 1, "out": 1},
     {"input": float("nan"), "output": 1}, {"input": float("inf"), "output": 1}, {"input": True, "output": 1}],
)  # fmt: skip
def test_a_price_that_cannot_be_is_refused(override):
    with pytest.raises(ConfigError, match="dollars a million tokens"):
        price_of(None, "x", override)


def test_an_answer_without_counts_has_no_cost():
    price = price_of(None, "x", {"input": 1, "output": 1})
    assert price.cost(Usage(None, 3)) is None
    assert price.cost(Usage(3, None)) is None
    assert price.cost(Usage()) is None


def test_a_batch_costs_its_part():
    price = price_of("openai", "gpt-4o-mini")
    assert price.cost(Usage(1000, 100), discount=0.5) == price.cost(Usage(1000, 100)) / 2


@pytest.mark.parametrize(
    ("provider", "name"), [("openai", "gpt-4o"), ("google", "gemini-2.5-pro"), ("anthropic", "claude-sonnet-4-5")]
)
def test_no_usage_within_its_limits_costs_more_than_the_bound(provider, name):
    price = price_of(provider, name)
    for size in (0, 1, 1000, 199_999, 200_000, 200_001, 1_000_000):
        bound = price.bound(size, 4096)
        for read, written in ((0, 0), (size, 0), (0, size), (size // 2, size - size // 2)):
            assert price.cost(Usage(size, 4096, read, written)) <= bound + 1e-12


def test_a_bound_is_not_made_of_tiers_out_of_reach():
    price = price_of("google", "gemini-2.5-pro")
    assert price.bound(1000, 0) == pytest.approx(1000 * 1.25e-6)
    assert price.bound(200_001, 0) == pytest.approx(200_001 * 2.5e-6)


@pytest.mark.alone
def test_a_cost_is_counted_in_microseconds():
    price, usage = price_of("openai", "gpt-5.4"), Usage(1000, 100, cached_tokens=10)
    begin = time.perf_counter()
    for _ in range(1000):
        price.cost(usage)
    assert (time.perf_counter() - begin) / 1000 < 100e-6  # some 1 µs; the limit leaves room for a busy machine


def test_no_thread_is_started_and_no_price_list_is_fetched():
    code = (
        "import socket, sys, threading\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from clinidistill.llm.prices import price_of\n"
        "assert 'genai_prices' not in sys.modules\n"
        "assert price_of('openai', 'gpt-4o') is not None\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_dearest_of_the_coming_day_counts():
    from clinidistill.llm.prices import _dearest

    day, night = (
        {"input_mtok": Decimal(4), "output_mtok": Decimal(1)},
        {"input_mtok": Decimal(2), "output_mtok": Decimal(3)},
    )
    assert _dearest([day, night, day]).tiers == ((0, Rates(4.0, 3.0, 4.0, 4.0)),)
