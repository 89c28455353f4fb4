"""The whole system at work: traffic, a worker killed in the middle, and the proof that nothing was lost.

`run_demo` is what `tailrace demo` calls; `Display` is how it tells what goes on, `Outcome` what it found.
"""

from tailrace.demo.display import Display, display_for
from tailrace.demo.outcome import Outcome
from tailrace.demo.run import run_demo
from tailrace.demo.traffic import Request

__all__ = ["Display", "Outcome", "Request", "display_for", "run_demo"]
