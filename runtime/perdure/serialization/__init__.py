"""Values, arguments and exceptions as JSON, and back: exactly, or with a message that names the unkept part."""
