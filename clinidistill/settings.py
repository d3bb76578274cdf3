"""Settings from the environment (prefix ``CLINIDISTILL_``)."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """What a machine, not a run, decides.

    Attributes:
        data: folder of corpora and terminologies (``$CLINIDISTILL_DATA``); see ``docs/data.md``.
    """

    model_config = SettingsConfigDict(env_prefix="CLINIDISTILL_")

    data: Path = Path("../shared/data")
