"""A device that sleeps is kept at work: drawing goes on while images are written, scoring while they are read."""

import pytest
from click.testing import CliRunner

from bench import waiting

ENOUGH = 0.6  # of the device's rate, beside any other work; one after the other it would be under a half


@pytest.mark.parametrize("work", waiting.WORK)
def test_a_device_seldom_waits(work, monkeypatch):
    encode, decode = waiting.shards.encoded, waiting.shards._decode
    seconds = 0.05

    def slow(function):
        def slowly(*arguments):
            waiting.time.sleep(seconds * 1.2)  # as a slow processor would: one thread could not keep up
            return function(*arguments)

        return slowly

    monkeypatch.setattr(waiting.overlap, "THREADS", 2)
    monkeypatch.setattr(waiting.scoring, "BATCH", 4)
    if work == "generate":
        monkeypatch.setattr(waiting.shards, "encoded", slow(encode))
    else:
        monkeypatch.setattr(waiting.shards, "_decode", slow(decode))
    shares = [waiting.WORK[work](seconds, 32, 32, 4, 64) for _ in range(3)]
    assert max(shares) > ENOUGH, shares


def test_the_bench_prints_a_row_for_each_stage_and_time():
    words = "--seconds 0.001 --images 8 --shard 4 --batch 2 --side 64 --repeats 1"
    result = CliRunner().invoke(waiting.main, words.split())
    assert result.exit_code == 0, result.output
    rows = [line.split("|")[1:3] for line in result.output.splitlines()[3:]]
    assert [[cell.strip() for cell in row] for row in rows] == [["generate", "0.001"], ["score", "0.001"]]
