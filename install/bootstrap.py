"""Set envcheck up on a machine that has only Python and git, and run it.

    python3 install/bootstrap.py          prepare, then run the main job and print the report's path
    python3 install/bootstrap.py test     prepare, then run the tests
    python3 install/bootstrap.py setup    only prepare

This file is written in the syntax that every Python still understands, so that an old one gets a sentence, not a
SyntaxError; the work is done by `_bootstrap.py` beside it.
"""

import os
import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "envcheck needs Python 3.11 or newer; this is Python %d.%d (%s). "
        "Install a newer Python and call it by name, for example: python3.12 install/bootstrap.py\n"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )
    sys.exit(2)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import _bootstrap

if __name__ == "__main__":
    sys.exit(_bootstrap.main(sys.argv[1:]))
