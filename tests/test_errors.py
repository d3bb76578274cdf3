from pathlib import Path

from clinidistill.errors import DataError


def test_a_fault_in_data_says_where_it_is_as_closely_as_is_known():
    error = DataError("not a number", path="a/b.csv", line=3, column=7)
    assert (error.path, error.line, error.column, error.reason) == (Path("a/b.csv"), 3, 7, "not a number")
    assert str(error) == "a/b.csv:3:7: not a number"
    assert str(DataError("empty", path="b.csv", line=1)) == "b.csv:1: empty"
    assert str(DataError("empty")) == "empty"
