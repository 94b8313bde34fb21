"""The process: how it is forked and set up, and which role it takes."""
