"""Settings from the environment (prefix ``CLINIDISTILL_``)."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """What a machine, not a run, decides.

    Attributes:
        data: folder of corpora and terminologies (``$CLINIDISTILL_DATA``); see ``docs/data.md``.
        cache: folder of what can be made anew (``$CLINIDISTILL_CACHE``); may be deleted at any time.
        hardware_prices: a list of what machines cost in place of ours (``$CLINIDISTILL_HARDWARE_PRICES``).
    """

    model_config = SettingsConfigDict(env_prefix="CLINIDISTILL_")

    data: Path = Path("../shared/data")
    hardware_prices: Path | None = None
    cache: Path = Field(default_factory=lambda: user_cache_path("clinidistill"))
