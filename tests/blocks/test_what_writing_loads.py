"""Who writes an algorithm, or runs its own blocks in a worker, does not pay for the clients of the built-in blocks."""

import importlib.util
import subprocess
import sys

CODE = """
import sys
from algorail.blocks import db_lookup, model_call, vector_search
from algorail.engine import algorithm, block, when
heavy = {"httpx", "sqlalchemy", "faiss", "pydantic_monty", "cel_expr_python", "algorail.engine.run.compile"}
print(sorted(heavy & set(sys.modules)))
"""


def test_writing_loads_no_client_and_no_database():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_http_client_finds_what_it_looks_for_in_every_request():
    assert importlib.util.find_spec("sniffio"), "a failed import in every request costs more than the request"
