"""Timing systems, and what an hour of a machine costs."""

import json
import time

import pytest

import clinidistill as cd
from clinidistill import Document, Span
from clinidistill.costs import Machine, hardware_prices, hourly_rate, this_machine
from clinidistill.errors import ConfigError, DataError


class Sleeper:
    def __init__(self, seconds):
        self.seconds, self.seen = seconds, []

    def predict(self, documents):
        for document in documents:
            self.seen.append(document)
            time.sleep(self.seconds)
            yield document.with_spans([Span(0, 2, "drug")])


def machine(*gpus, cores=8):
    return Machine("a processor", cores, None, gpus, "Linux x86_64", "3.11", "2")


def test_each_system_reads_the_same_bare_notes_as_often():
    systems = {"slow": Sleeper(0.01), "fast": Sleeper(0.001)}
    notes = [Document(f"n{n}", "On aspirin.", [Span(3, 10, "drug")]) for n in range(4)]
    found = cd.benchmark_inference(systems, notes, repeats=3, warmup=1, alone=2, progress=False)
    for system in systems.values():
        assert len(system.seen) == 4 * (3 + 1) + 2
        assert not any(document.spans for document in system.seen)
    assert [len(system.seconds) for system in found] == [3, 3]
    assert found["slow"].seconds_per_note >= 0.01 > found["fast"].seconds_per_note
    assert found["slow"].p50_seconds >= 0.01
    assert found["slow"].spans == 4
    assert found["slow"].notes_per_second == pytest.approx(1 / found["slow"].seconds_per_note)
    assert json.loads(json.dumps(found.to_dict()))["machine"]["cores"] == this_machine().cores
    assert "slow" in str(found)


def test_strings_are_notes_and_latency_may_be_left_out():
    found = cd.benchmark_inference([Sleeper(0)], ["one", "two"], repeats=1, alone=0)
    assert found["Sleeper"].p50_seconds is None
    assert "–" in str(found)
    with pytest.raises(KeyError):
        found["nobody"]


@pytest.mark.parametrize(
    ("systems", "notes", "options", "message"),
    [
        ({}, ["a"], {}, "nothing to time"),
        ({"s": Sleeper(0)}, [], {}, "nothing to time"),
        ({"s": Sleeper(0)}, ["a"], {"repeats": 0}, "repeats"),
        ([Sleeper(0), Sleeper(0)], ["a"], {}, "one name"),
    ],
)
def test_what_cannot_be_timed_is_refused(systems, notes, options, message):
    with pytest.raises(ConfigError, match=message):
        cd.benchmark_inference(systems, notes, **options)


def test_a_machine_costs_its_share_of_what_can_be_rented():
    prices = hardware_prices()
    assert hourly_rate(None, machine(cores=8)).usd_per_hour == pytest.approx(4 * prices["aws m7g.large"].usd_per_hour)
    one = hourly_rate(None, machine("NVIDIA H100 80GB HBM3"))
    assert one.usd_per_hour == pytest.approx(prices["aws p5.48xlarge"].usd_per_hour / 8)
    assert "2026" in one.says
    assert hourly_rate(None, machine("NVIDIA A100-SXM4-80GB")).usd_per_hour == pytest.approx(32.77 / 8)


def test_a_gpu_that_nobody_priced_stays_unknown():
    rate = hourly_rate(None, machine("NVIDIA GeForce GT 710"))
    assert (rate.usd_per_hour, rate.cost(10)) == (None, None)
    assert "GT 710" in rate.says


def test_hardware_can_be_named_or_told():
    assert hourly_rate("aws g5.xlarge").usd_per_hour == 1.006
    assert hourly_rate(7.2).cost(500) == pytest.approx(1.0)
    with pytest.raises(ConfigError, match=r"did you mean 'aws g5.xlarge'"):
        hourly_rate("aws g5.xlrge")
    with pytest.raises(ConfigError, match="below 0"):
        hourly_rate(-1.0)


def test_a_list_of_ones_own_takes_the_place_of_ours(tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.write_text('[[price]]\nname = "cellar"\nusd_per_hour = 0.5\ncores = 4\nas_of = 2026-01-01\n')
    monkeypatch.setenv("CLINIDISTILL_HARDWARE_PRICES", str(file))
    assert hourly_rate(None, machine(cores=2)).usd_per_hour == 0.25
    assert hourly_rate(None, machine("NVIDIA H100")).usd_per_hour is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[price", "is no TOML"),
        ('[[price]]\nname = "x"', "is no list of prices: price.0.usd_per_hour"),
        ('[[price]]\nname = "x"\nusd_per_hour = -1\ncores = 1\nas_of = 2026-01-01', "greater than or equal to 0"),
    ],
)
def test_a_damaged_list_says_where(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        hardware_prices(file)
    with pytest.raises(DataError, match="cannot be read"):
        hardware_prices(tmp_path / "none.toml")
