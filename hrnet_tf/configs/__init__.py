"""What can be configured: dataclasses and the registered experiments."""
