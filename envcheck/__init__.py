"""envcheck: will this machine run that LLM, what must be installed, and does it really run now?

Library users import `envcheck.api`; the command line is `envcheck.cli`. This module stays empty on purpose:
`import envcheck` must cost nothing.
"""

__version__ = "0.1.0"
