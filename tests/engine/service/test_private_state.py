import stat
from contextlib import closing

from algorail.engine.service.settings import Settings
from algorail.engine.store.database import Database


def test_the_state_folder_is_its_owner_s_alone(tmp_path):
    settings = Settings(home=tmp_path / "state")
    with closing(Database(settings.database_url)):
        assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    home = tmp_path / "state"
    home.mkdir(mode=0o750)
    with closing(Database(Settings(home=home).database_url)):
        assert stat.S_IMODE(home.stat().st_mode) == 0o750
