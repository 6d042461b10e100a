import stat
from contextlib import closing

from algorail.engine.kit.home import write_private
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


def test_a_private_file_stays_private_when_it_is_written_over_an_open_one(tmp_path):
    file = tmp_path / "state" / "key"
    file.parent.mkdir()
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in file.parent.iterdir()] == ["key"]
