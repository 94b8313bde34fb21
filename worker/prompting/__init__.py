"""What goes into a prompt and what is read out of an answer."""
