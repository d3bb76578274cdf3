"""What F1 costs: dollars and seconds of teachers and students, side by side."""

from clinidistill.costs.economics import Economics, economics
from clinidistill.costs.inference import InferenceBenchmark, benchmark_inference
from clinidistill.costs.machine import Machine, this_machine
from clinidistill.costs.rates import HardwarePrice, Rate, hardware_prices, hourly_rate

__all__ = [
    "Economics",
    "HardwarePrice",
    "InferenceBenchmark",
    "Machine",
    "Rate",
    "benchmark_inference",
    "economics",
    "hardware_prices",
    "hourly_rate",
    "this_machine",
]
