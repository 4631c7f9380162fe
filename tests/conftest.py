"""What all tests share."""

from hypothesis import settings

# How long an example takes is the machine's matter; benchmarks are in bench/.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
