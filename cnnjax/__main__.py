"""`python -m cnnjax` is the command `cnnjax`."""

import sys

from cnnjax.cli import main

sys.exit(main())
