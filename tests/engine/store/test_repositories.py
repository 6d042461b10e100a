"""What the repositories promise, on both databases."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from algorail import migrations
from algorail.engine.kit.errors import Conflict, InvalidInput, NotFound, Unavailable
from algorail.engine.store import algorithms, aliases, audit, bundles, drafts, idempotency, keys
from algorail.engine.store.algorithms import NewVersion
from algorail.engine.store.aliases import Target
from algorail.engine.store.database import Database, current_ns


def new_version(text="{}", **rest):
    return NewVersion(plan=text.encode(), plan_hash=f"hash {text}", contract=b"{}", change="first", **rest)


def publish(database, name="faq", count=1):
    with database.write() as tx:
        algorithms.ensure(tx, name, team="ml")
        return [algorithms.publish(tx, name, new_version(f"{name} {n}")) for n in range(count)]


class TestAlgorithms:
    def test_versions_count_up_and_never_change(self, database):
        first, second = publish(database, count=2)
        assert (first.version, second.version) == (1, 2)
        with database.read() as tx:
            assert algorithms.version(tx, "faq", 1) == first
            assert algorithms.versions(tx, "faq") == [second, first]
            assert algorithms.by_hash(tx, second.plan_hash) == second
            assert algorithms.get(tx, "faq").latest == 2

    def test_a_publish_against_an_old_version_is_refused(self, database):
        publish(database, count=2)
        with pytest.raises(Conflict) as caught, database.write() as tx:
            algorithms.publish(tx, "faq", new_version("x"), latest=1)
        assert caught.value.code == "published-meanwhile"
        assert caught.value.cure

    def test_two_publishers_at_once_get_two_versions_or_a_conflict(self, database):
        publish(database)
        outcomes = []
        barrier = threading.Barrier(4)

        def one(number):
            barrier.wait()
            try:
                with database.write() as tx:
                    outcomes.append(algorithms.publish(tx, "faq", new_version(f"by {number}")).version)
            except (Conflict, Unavailable) as error:
                outcomes.append(error.code)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        numbers = sorted(found for found in outcomes if isinstance(found, int))
        assert numbers == list(range(2, 2 + len(numbers)))
        assert set(outcomes) - set(numbers) <= {"already-exists", "database-locked"}

    def test_what_is_missing_is_named(self, database):
        publish(database)
        with database.read() as tx:
            for read in (
                lambda: algorithms.get(tx, "no"),
                lambda: algorithms.version(tx, "faq", 9),
                lambda: algorithms.versions(tx, "no"),
                lambda: algorithms.by_hash(tx, "no"),
            ):
                with pytest.raises(NotFound):
                    read()

    def test_archive_hides_and_publish_brings_back(self, database):
        publish(database)
        with database.write() as tx:
            archived = algorithms.archive(tx, "faq")
            assert archived.archived_ns is not None
            assert algorithms.archive(tx, "faq") == archived
            assert algorithms.list_all(tx) == []
            assert len(algorithms.list_all(tx, archived=True, team="ml")) == 1
            assert algorithms.list_all(tx, archived=True, team="other") == []
            algorithms.publish(tx, "faq", new_version("x"))
            assert algorithms.get(tx, "faq").archived_ns is None
            assert algorithms.archive_version(tx, "faq", 1).archived_ns is not None
            assert algorithms.version(tx, "faq", 2).archived_ns is None

    def test_ensure_keeps_the_owner(self, database):
        with database.write() as tx:
            algorithms.ensure(tx, "faq", team="a")
            assert algorithms.ensure(tx, "faq", team="b").team == "a"


class TestAliases:
    def test_moves_count_epochs_and_rollback_moves_back(self, database):
        publish(database, count=2)
        with database.write() as tx:
            assert aliases.point(tx, "faq", "prod", Target(version=1)).epoch == 1
            aliases.point(tx, "faq", "prod", Target(version=2), author="ann")
            split = aliases.point(tx, "faq", "prod", Target(split=b"{}"))
            assert (split.version, split.split) == (None, b"{}")
            assert aliases.rollback(tx, "faq", "prod").version == 2
            assert aliases.rollback(tx, "faq", "prod").split == b"{}"
            assert [entry.epoch for entry in aliases.history(tx, "faq", "prod")] == [5, 4, 3, 2, 1]
            assert aliases.get(tx, "faq", "prod").epoch == 5

    def test_a_rollback_without_a_past_is_refused(self, database):
        publish(database)
        with database.write() as tx:
            aliases.point(tx, "faq", "prod", Target(version=1))
            with pytest.raises(Conflict, match="never pointed"):
                aliases.rollback(tx, "faq", "prod")

    def test_epochs_survive_a_removal(self, database):
        publish(database)
        with database.write() as tx:
            aliases.point(tx, "faq", "prod", Target(version=1))
            aliases.remove(tx, "faq", "prod")
            with pytest.raises(NotFound, match="has none"):
                aliases.get(tx, "faq", "prod")
            assert aliases.point(tx, "faq", "prod", Target(version=1)).epoch == 3
            assert aliases.pointing_to(tx, "faq", 1) == ["prod"]

    def test_a_move_from_an_old_epoch_is_refused(self, database):
        publish(database)
        with database.write() as tx:
            aliases.point(tx, "faq", "prod", Target(version=1), epoch=0)
            with pytest.raises(Conflict, match="epoch 1 now"):
                aliases.point(tx, "faq", "prod", Target(version=1), epoch=0)

    @pytest.mark.parametrize("target", [{}, {"version": 1, "split": b"{}"}])
    def test_a_target_is_one_thing(self, target):
        with pytest.raises(InvalidInput):
            Target(**target)


class TestDrafts:
    def test_revisions_guard_the_draft(self, database):
        publish(database)
        with database.write() as tx:
            assert drafts.find(tx, "faq") is None
            first = drafts.save(tx, "faq", b"1", revision=0)
            assert first.etag == '"1"'
            second = drafts.save(tx, "faq", b"2", revision=1, author="ann")
            for stale in (0, 1):
                with pytest.raises(Conflict) as caught:
                    drafts.save(tx, "faq", b"3", revision=stale)
                assert caught.value.details == {"revision": 2}
            assert drafts.get(tx, "faq") == second
            assert drafts.save(tx, "faq", b"4", revision=None).revision == 3
            with pytest.raises(Conflict):
                drafts.remove(tx, "faq", revision=1)
            drafts.remove(tx, "faq", revision=3)
            with pytest.raises(NotFound):
                drafts.get(tx, "faq")


class TestKeys:
    def test_a_key_is_found_by_its_text_until_revoked(self, database):
        text = keys.generate()
        with database.write() as tx:
            made = keys.add(tx, text, name="ci", scope="author", team="ml")
            assert keys.find(tx, text) == made
            assert keys.find(tx, text + "x") is None
            keys.touch(tx, made.id)
            assert keys.get(tx, made.id).last_used_ns is not None
            gone = keys.revoke(tx, made.id)
            assert keys.revoke(tx, made.id) == gone
            assert keys.find(tx, text) is None
            assert keys.list_all(tx) == [gone]
            with pytest.raises(NotFound):
                keys.revoke(tx, "key_x")

    def test_the_text_is_nowhere_in_the_file(self, tmp_path, database):
        text = keys.generate()
        with database.write() as tx:
            keys.add(tx, text, name="ci", scope="author")
        database.close()
        assert not any(text.encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_the_audit_log_pages_and_filters(database):
    with database.write() as tx:
        for number in range(5):
            audit.append(tx, actor="key_1", action="publish", subject=f"faq@{number}", details={"n": number})
        audit.append(tx, actor="system", action="sweep", subject="runs")
    with database.read() as tx:
        assert [entry.action for entry in audit.entries(tx, limit=2)] == ["sweep", "publish"]
        page = audit.entries(tx, action="publish", limit=2)
        rest = audit.entries(tx, actor="key_1", before=page[-1].id)
        assert [entry.details["n"] for entry in [*page, *rest]] == [4, 3, 2, 1, 0]
        assert audit.entries(tx, subject="faq@3")[0].at_ns <= current_ns(tx)


class TestIdempotency:
    def test_one_key_one_run(self, database):
        claim = {"route": "invoke", "key": "k", "body_hash": "h"}
        with database.write() as tx:
            assert idempotency.claim(tx, **claim, run_id="run_1").is_new
            again = idempotency.claim(tx, **claim, run_id="run_2")
            assert (again.run_id, again.is_new, again.response) == ("run_1", False, None)
            idempotency.answer(tx, route="invoke", key="k", run_id="run_1", response=b"{}")
            idempotency.answer(tx, route="invoke", key="k", run_id="run_0", response=b"late")
            assert idempotency.claim(tx, **claim, run_id="run_2").response == b"{}"
            assert idempotency.claim(tx, **{**claim, "route": "other"}, run_id="run_3").is_new
            with pytest.raises(InvalidInput, match="another body"):
                idempotency.claim(tx, **{**claim, "body_hash": "x"}, run_id="run_4")

    def test_keys_end(self, database):
        claim = {"route": "invoke", "key": "k", "body_hash": "h"}
        with database.write() as tx:
            idempotency.claim(tx, **claim, run_id="run_1", kept_ns=0)
            assert idempotency.claim(tx, **claim, run_id="run_2", kept_ns=0).is_new
            assert idempotency.sweep(tx) == 1
            idempotency.claim(tx, **claim, run_id="run_3")
            idempotency.release(tx, route="invoke", key="k", run_id="run_other")
            assert not idempotency.claim(tx, **claim, run_id="run_4").is_new
            idempotency.release(tx, route="invoke", key="k", run_id="run_3")
            assert idempotency.claim(tx, **claim, run_id="run_5").is_new


def test_bundles_are_immutable(database):
    with database.write() as tx:
        made = bundles.put(tx, hash="h", manifest=b"{}", archive=b"zip\x00", author="ann")
        assert bundles.put(tx, hash="h", manifest=b"other", archive=b"other") == made
        assert bundles.archive(tx, "h") == b"zip\x00"
        assert bundles.list_all(tx) == [made]
        for read in (bundles.get, bundles.archive):
            with pytest.raises(NotFound):
                read(tx, "other")


class TestFailures:
    def test_a_transaction_is_all_or_nothing(self, database):
        def half() -> None:
            with database.write() as tx:
                algorithms.ensure(tx, "faq")
                algorithms.version(tx, "faq", 1)

        with pytest.raises(NotFound):
            half()
        with database.read() as tx:
            assert algorithms.list_all(tx) == []

    def test_a_dangling_reference_is_a_conflict(self, database):
        with pytest.raises(Conflict), database.write() as tx:
            drafts.save(tx, "nobody", b"{}", revision=0)

    def test_a_text_that_no_database_can_hold_is_the_callers_mistake(self, database):
        with pytest.raises(InvalidInput), database.write() as tx:
            audit.append(tx, actor="\ud800", action="a", subject="s")

    def test_a_locked_file_is_unavailable(self, tmp_path):
        database = Database(f"sqlite:///{tmp_path / 'a.db'}", busy_timeout=0.01)
        with closing(sqlite3.connect(tmp_path / "a.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable) as caught:
                database.check_writable()
        assert (caught.value.code, caught.value.retryable) == ("database-locked", True)
        database.check_writable()
        database.close()

    def test_a_full_disk_is_unavailable(self, tmp_path):
        database = Database(f"sqlite:///{tmp_path / 'a.db'}", pool_size=1)
        migrations.upgrade(database.engine)
        with database.read() as tx:
            tx.exec_driver_sql("PRAGMA max_page_count = 50")
        with pytest.raises(Unavailable) as caught, database.write() as tx:
            bundles.put(tx, hash="h", manifest=b"{}", archive=b"x" * 1_000_000)
        assert caught.value.code == "storage-full"
        with database.read() as tx:
            assert bundles.list_all(tx) == []
        database.close()

    def test_a_server_that_is_away_is_unavailable(self, tmp_path):
        database = Database(f"postgresql://nobody@/none?host={tmp_path}")
        with pytest.raises(Unavailable) as caught:
            database.check_writable()
        assert caught.value.code == "database-unavailable"
        database.close()
