"""Her organs: what she thinks with, and later what she sees, hears and speaks with."""
