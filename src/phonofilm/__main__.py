"""`python -m phonofilm` is the command `phonofilm`."""

import sys

from phonofilm.app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
