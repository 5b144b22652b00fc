"""Seeds are the same on every machine, and different for whatever differs."""

import hashlib
import os
import subprocess
import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st

from versat2i.seeds import stable_seed

steady = settings(derandomize=True, max_examples=60, deadline=None)

parts = st.lists(st.text() | st.integers(), max_size=4)


def test_a_seed_is_the_first_63_bits_of_the_hash_of_its_parts_as_json():
    digest = hashlib.sha256(b'[0, "\\u00e9\\n", 1]').hexdigest()
    assert stable_seed(0, "é\n", 1) == int(digest[:16], 16) // 2


def test_a_seed_is_the_same_in_a_process_with_other_hashes():
    code = "from versat2i.seeds import stable_seed; print(stable_seed(7, 'a red circle', 3))"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(other.stdout) == stable_seed(7, "a red circle", 3)


@steady
@given(parts)
@example(["\ud800", "\0", "\u202e", "\U0001f600"])
def test_a_seed_fits_into_63_bits_whatever_the_parts(some):
    assert 0 <= stable_seed(*some) < 2**63


@steady
@given(parts, parts)
@example([1, 23], [12, 3])
@example(["1"], [1])
@example(["a", "b"], ["a,b"])
@example(['a", "b'], ["a", "b"])
@example([], [""])
def test_other_parts_give_another_seed(some, others):
    assert (stable_seed(*some) == stable_seed(*others)) == (some == others)
