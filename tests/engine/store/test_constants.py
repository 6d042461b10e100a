"""What an installation decides once is the same for everybody."""

from __future__ import annotations

import threading

from algorail.engine.store.constants import once


def test_the_first_value_stays(database):
    assert once(database, "salt", lambda: b"first") == b"first"
    assert once(database, "salt", lambda: b"second") == b"first"
    assert once(database, "other", lambda: b"second") == b"second"


def test_who_comes_second_gets_what_the_first_made(database):
    found = []
    both = threading.Barrier(2)

    def make(value):
        both.wait(5)  # neither has written when both have looked
        return value

    threads = [
        threading.Thread(target=lambda value=value: found.append(once(database, "salt", lambda: make(value))))
        for value in (b"a", b"b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1
