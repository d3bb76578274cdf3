"""One Ray on this machine for all tests, with two cores and little memory."""

import os

import pytest

import clinidistill as cd


@pytest.fixture(scope="session")
def ray(own_cache, tmp_path_factory):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'clinidistill[ray]'")
    pytest.importorskip("ray.data")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}  # no token in the home folder
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        logging_level="error",
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.path.dirname(__file__)}},  # where workers find the tests' teachers
    )
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def spread_student(tiny_base, tmp_path_factory):
    """Folder of a student with a random head whose outputs are spread, so that it marks plenty of spans."""
    import torch

    student = cd.load_student("token-classifier", base=tiny_base, labels=["disease", "medication"])
    torch.manual_seed(1)
    student.prepare(["disease", "medication"])
    student.model.classifier.weight.data.mul_(40)
    folder = tmp_path_factory.mktemp("student") / "tiny"
    student.save(folder)
    return folder
