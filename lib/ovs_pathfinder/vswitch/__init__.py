"""The local Open vSwitch: one module for each of its tools, parsers apart from what runs them."""
