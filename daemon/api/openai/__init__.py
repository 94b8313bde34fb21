"""The chat completions door: her owner's, for programs that speak OpenAI's API."""
