"""Her organs: what she thinks, hears, sees, reads, speaks and paints with."""
