"""Open-loop load: requests sent when they are due, whether or not the last one was answered.

A closed loop (``evaluate.latency``) sends its next request when the last was answered, so a server that stalls for a
second is asked nothing in that second and shows one slow request. Real callers do not wait for each other. Here the
times of sending are drawn ahead (a Poisson process), and a request's latency counts from the time it was *due*, so a
stall costs everybody who came in it. Tene, "How NOT to Measure Latency", calls what this avoids coordinated omission.
"""

from __future__ import annotations

from cascaderank.evaluate.load.arrivals import poisson_arrivals
from cascaderank.evaluate.load.driver import closed_loop, open_loop
from cascaderank.evaluate.load.record import LoadRun, Reply, Sent
from cascaderank.evaluate.load.summary import summarize_load
from cascaderank.evaluate.load.targets import InProcess, Target

__all__ = [
    "InProcess",
    "LoadRun",
    "Reply",
    "Sent",
    "Target",
    "closed_loop",
    "open_loop",
    "poisson_arrivals",
    "summarize_load",
]
