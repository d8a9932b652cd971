"""What all tests share: the captioned photographs, and CI's rule that nothing may skip."""

import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail: speed is measured under benchmarks/, never in a test.
settings.register_profile("lexlip", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lexlip")

PHOTOGRAPHS = "flickr8k_224_q75"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder that holds the data packs."""
    named = os.environ.get("LEXLIP_TEST_DATA")
    if not named:
        pytest.skip("LEXLIP_TEST_DATA names no folder with the captioned photographs")
    return Path(named)


@pytest.fixture(scope="session")
def flickr8k(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the Flickr8k pack (`images/`, `captions.txt`, split lists), unpacked where it comes as a zip."""
    for folder in (data / PHOTOGRAPHS, data):
        if (folder / "captions.txt").is_file():
            return folder
    unpacked = tmp_path_factory.mktemp(PHOTOGRAPHS)
    with zipfile.ZipFile(data / f"{PHOTOGRAPHS}.zip") as pack:
        pack.extractall(unpacked)
    return unpacked


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("LEXLIP_FORBID_SKIPS") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped)} tests skipped, which LEXLIP_FORBID_SKIPS forbids", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
