"""Another implementation, written from PROTOCOL.md and MODEL.md alone."""
