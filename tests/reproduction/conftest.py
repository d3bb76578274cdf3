"""Experiments to try, one of them finished."""

import shutil

import pytest
from tiny_experiment import DRUGS, SYMPTOMS, head, save_parts, task

import clinidistill as cd


@pytest.fixture
def experiment_file(tmp_path, tiny_base):
    """An experiment of one task, not run yet."""
    save_parts(tmp_path)
    file = tmp_path / "tiny.toml"
    file.write_text(head(tiny_base) + task("drugs", "medication", DRUGS))
    return file


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, tiny_base):
    """An experiment of two tasks that has run; only to be looked at."""
    folder = tmp_path_factory.mktemp("experiment")
    save_parts(folder)
    file = folder / "tiny.toml"
    tasks = task("drugs", "medication", DRUGS) + task("symptoms", "symptom", SYMPTOMS, teachers=2)
    file.write_text(head(tiny_base) + tasks)
    return cd.reproduce(file, folder / "run", progress=False)


@pytest.fixture
def started(finished_run, experiment_file):
    """An experiment's file, and a folder in which its only task is done."""
    shutil.copytree(finished_run.folder, experiment_file.parent / "run")
    return experiment_file, experiment_file.parent / "run"
