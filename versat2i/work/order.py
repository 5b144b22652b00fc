"""Run the stages of a pipeline side by side, each as soon as all that it needs is there."""

from collections.abc import Callable, Mapping, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

Needs = Mapping[str, Set[str]]  # of each stage, those that it needs


def affected(needs: Needs, changed: Set[str]) -> set[str]:
    """The changed stages and all that need one of them, by however many steps."""
    found = set(changed)
    for stage in TopologicalSorter(needs).static_order():
        if needs[stage] & found:
            found.add(stage)
    return found


def heights(needs: Needs) -> dict[str, int]:
    """Length of the longest path from each stage to the end of the pipeline, in stages."""
    found = dict.fromkeys(needs, 1)
    for stage in reversed([*TopologicalSorter(needs).static_order()]):
        for earlier in needs[stage]:
            found[earlier] = max(found[earlier], 1 + found[stage])
    return found


def run(needs: Needs, work: Callable[[str], bool], jobs: int) -> list[str]:
    """Run stages, at most ``jobs`` at a time; of the ready ones the one with the longest chain behind it first.

    After a failure none is begun; those that run go on to their end, so that their work is not lost.

    Args:
        needs: every stage, with those of them that must be done before.
        work: runs a stage in a thread; False if it failed.
        jobs: how many at a time.

    Returns:
        the stages that failed.
    """
    order, height = TopologicalSorter(needs), heights(needs)
    order.prepare()
    waiting: list[str] = []
    running: dict[Future[bool], str] = {}
    failed: list[str] = []
    with ThreadPoolExecutor(jobs) as pool:
        while order.is_active():
            waiting = sorted([*waiting, *order.get_ready()], key=height.__getitem__)
            while waiting and len(running) < jobs and not failed:
                stage = waiting.pop()
                running[pool.submit(work, stage)] = stage
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                stage = running.pop(done)
                if done.result():
                    order.done(stage)
                else:
                    failed.append(stage)
    return failed
