"""What the figures are held against: the plainest program that does the part of the work that cannot be left out."""
