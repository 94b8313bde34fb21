"""Her organs, with which she thinks, hears, sees, reads, speaks and paints."""
