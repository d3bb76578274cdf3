import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "llm"))  # where the models' servers are


@pytest.fixture
def schema():
    return f"s{uuid.uuid4().hex}"


@pytest.fixture
def url(postgres, schema):
    return postgres.url(schema)
