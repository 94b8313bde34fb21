"""The memory and speed of personad, each figure beside a baseline measured in the same run: ``make bench``."""
