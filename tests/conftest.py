"""Shared by all tests: no model hub is asked, and hypothesis is quick and the same each time."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub

from hypothesis import settings

settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("quick")
