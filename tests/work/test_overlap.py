"""Threads work beside their caller: in order, bounded, and with its errors and stops."""

import gc
import threading
import time
import weakref

import pytest

from versat2i.work import overlap


class Item:
    """Something whose life can be watched."""


def test_results_come_in_the_order_of_the_items_whichever_is_ready_first():
    gates = {0: threading.Event(), 1: threading.Event()}

    def slow(number):
        if number == 1:
            gates[0].set()
        else:
            assert gates[0].wait(60)  # 0 ends after 1 began
        return number * 10

    assert list(overlap.ahead(slow, [0, 1], 2)) == [0, 10]


def test_no_more_items_are_taken_ahead_than_told():
    taken = []

    def items():
        for number in range(10):
            taken.append(number)
            yield number

    results = overlap.ahead(lambda number: number, items(), 3)
    assert next(results) == 0 and taken == [0, 1, 2]
    assert next(results) == 1 and taken == [0, 1, 2, 3]


@pytest.mark.parametrize("fails", ["item", "function"])
def test_an_error_comes_in_its_place(fails):
    def items():
        yield from (0, 1)
        if fails == "item":
            raise ValueError("no third")
        yield from (2, 3)

    def function(number):
        if number == 2:
            raise ValueError("no third")
        return number

    results = overlap.ahead(function, items(), 8)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="no third"):
        next(results)
    assert list(results) == []


def test_results_that_nobody_asks_for_any_more_are_not_computed():
    begun, gate = [], threading.Event()

    def slow(number):
        begun.append(number)
        assert number == 0 or gate.wait(60)
        return number

    results = overlap.ahead(slow, range(100), 100)
    next(results)
    threading.Timer(0.05, gate.set).start()
    results.close()
    assert len(begun) <= 1 + overlap.THREADS


def test_an_item_is_made_while_the_one_before_is_consumed():
    made_second = threading.Event()

    def consume(items):
        assert next(items) == "first" and made_second.wait(60)
        return ["first", *items]

    with overlap.Handover(consume) as handover:
        handover.put("first")
        made_second.set()  # not reached if `put` waited for the consumer
        handover.put("second")
    assert handover.result() == ["first", "second"]


def test_at_most_two_items_exist_at_a_time():
    alive, most = weakref.WeakSet(), 0

    def consume(items):
        nonlocal most
        for item in items:
            time.sleep(0.002)
            most = max(most, len(alive))
            del item

    with overlap.Handover(consume) as handover:
        for _ in range(20):
            item = Item()
            alive.add(item)
            most = max(most, len(alive))
            handover.put(item)
            del item
    handover.wait()
    gc.collect()
    assert most == 2 and not alive


def test_an_error_of_the_consumer_reaches_whoever_hands_over_the_next():
    def consume(items):
        next(items)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), overlap.Handover(consume) as handover:
        handover.put(1)
        handover.put(2)


def test_an_error_of_the_consumer_after_the_last_item_is_that_of_its_result():
    def consume(items):
        list(items)
        raise OSError("disk full")

    with overlap.Handover(consume) as handover:
        handover.put(1)
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            handover.result()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_of_the_caller_ends_the_consumer_before_it_goes_on(error):
    put_away = []

    def consume(items):
        try:
            list(items)
        finally:
            time.sleep(0.02)
            put_away.append("all")

    with pytest.raises(error), overlap.Handover(consume) as handover:
        handover.put(1)
        raise error
    assert put_away == ["all"]


def test_without_an_item_the_consumer_gets_none():
    with overlap.Handover(list) as handover:
        pass
    assert handover.result() == []
