"""Values, arguments and exceptions as JSON, and back: exactly, or with a message that says what cannot be kept."""
