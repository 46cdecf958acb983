"""A Juju without a controller: it runs the real charm through its real entry point.

`model` reads what the operator would have deployed; `controller` holds what a controller would; `agent` does
the work of a unit's agent, with `hookcontext` and `hooktools` behind the hook tools; `deployment` brings a
new model to rest; and `command` with its neighbours is the command line.
"""
