"""Real servers on this machine, in one folder: what `tailrace up`, `status`, `doctor` and `down` do."""

from tailrace.stack.health import ServerStatus, StackStatus, status
from tailrace.stack.launch import StartError
from tailrace.stack.lifecycle import down, up

__all__ = ["ServerStatus", "StackStatus", "StartError", "down", "status", "up"]
