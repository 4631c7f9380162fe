"""`python3 -m clusterdns` in the image."""

from .server import main

main()
