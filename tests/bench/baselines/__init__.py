"""The baselines: for each figure, the simplest program that does the part of the work that cannot be left out."""
