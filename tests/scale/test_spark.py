"""Real Spark on this machine."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from helpers import notes

import clinidistill as cd
from clinidistill.errors import ClinidistillError, ConfigError
from clinidistill.scale.spark import _marked, predict_udf
from clinidistill.students import Student

pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'clinidistill[spark]'")
pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")


@pytest.fixture(scope="module")
def session(own_cache):
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.host", "127.0.0.1")
    try:
        session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    except PySparkRuntimeError as error:
        pytest.skip(f"Spark does not start ({error}); it needs Java 17")
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def test_a_student_marks_a_column_of_strings_and_one_of_structs_as_it_does_by_itself(session, spread_student):
    from pyspark.sql.functions import struct

    given = list(notes(400))
    rows = [(note.id, note.text) for note in given]
    frame = session.createDataFrame([*rows, ("null", None)], ["id", "text"]).repartition(2)
    marks = predict_udf(spread_student, precision="fp32")
    found = {
        row.id: row
        for row in frame.select("id", marks("text").alias("one"), marks(struct("id", "text")).alias("two")).collect()
    }
    assert found["null"].one is None
    expected = list(cd.load_student(spread_student).predict(given, precision="fp32"))
    assert sum(len(document.spans) for document in expected) > 400
    for document in expected:
        assert [(s.start, s.end, s.label, s.source) for s in document.spans] == [
            (s.start, s.end, s.label, s.source) for s in found[document.id].one
        ]
        assert [s.score for s in document.spans] == pytest.approx([s.score for s in found[document.id].one], abs=1e-5)
        assert found[document.id].one == found[document.id].two


class Broken(Student):
    """Fails on every note that is long."""

    labels = ("a",)

    def predict(self, documents, **options):
        for document in documents:
            if len(document.text) > 5:
                raise RuntimeError(document.text)
            yield document

    def save(self, path, *, card=None):
        raise NotImplementedError

    @classmethod
    def load(cls, path):
        raise NotImplementedError


def test_a_student_that_fails_on_everything_is_an_error_and_no_column_of_nulls():
    assert _marked(Broken(), ["short", None, "too long"] * 20, {}) == [[], None, None] * 20
    with pytest.raises(ClinidistillError, match="all 20 notes of a batch failed, the last of RuntimeError") as caught:
        _marked(Broken(), ["too long", None] * 20, {})
    assert "long" not in str(caught.value)


def test_without_a_session_it_says_what_to_do(session, spread_student, monkeypatch):
    from pyspark.sql import SparkSession

    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    with pytest.raises(ConfigError, match="no active Spark session"):
        predict_udf(spread_student)
