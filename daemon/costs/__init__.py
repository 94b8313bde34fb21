"""Costs: what calls of remote minds and organs use, what that is worth, and the budgets that hold them."""
