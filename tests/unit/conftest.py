import pytest

from lexlip_es.lexicon import Lexicon
from lexlip_es.model_folder import ModelFolder, starter_path


@pytest.fixture(scope="session")
def starter() -> ModelFolder:
    return ModelFolder.open(starter_path())


@pytest.fixture(scope="session")
def starter_lexicon(starter: ModelFolder) -> Lexicon:
    return starter.lexicon
