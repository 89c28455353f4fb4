"""`python -m tailrace.stack`: the watcher of one data folder (started by `tailrace up`, not by hand)."""

from tailrace.stack.watch import main

main()
