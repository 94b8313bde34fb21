"""The written protocol: records, messages, framing and secrets that daemon and worker share."""
