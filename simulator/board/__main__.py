"""`python -m simulator.board`."""

import sys

from simulator.board.cli import main

if __name__ == "__main__":
    sys.exit(main())
