"""A running persona: one process that perceives, thinks and says, and owns nothing that must survive."""
