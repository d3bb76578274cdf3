"""What machine this is, to be told beside every figure measured on it."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Machine", "this_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, as far as it decides how fast a system is.

    Args:
        cpu: name of the processor.
        cores: cores that this process may use.
        memory_gb: memory in GiB; None where the system does not tell.
        gpus: names of the GPUs.
        system: operating system and architecture.
        python, torch: versions.
    """

    cpu: str
    cores: int
    memory_gb: float | None
    gpus: tuple[str, ...]
    system: str
    python: str
    torch: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self) | {"gpus": list(self.gpus)}

    def __str__(self) -> str:
        memory = "" if self.memory_gb is None else f", {self.memory_gb:.0f} GiB"
        cards = "; ".join(f"{number} x {name}" for name, number in Counter(self.gpus).items()) or "no GPU"
        return f"{self.cores} cores of {self.cpu}{memory}, {cards}, {self.system}, torch {self.torch}"


def this_machine() -> Machine:
    """The machine that this process runs on."""
    import torch

    gpus = (
        [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    affinity = getattr(os, "sched_getaffinity", None)
    return Machine(
        _cpu(),
        len(affinity(0)) if affinity else os.cpu_count() or 1,
        _memory(),
        tuple(gpus),
        f"{platform.system()} {platform.machine()}",
        platform.python_version(),
        torch.__version__,
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "an unknown processor"


def _memory() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None
