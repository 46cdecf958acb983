"""The charm in a model of a real Juju controller, beside a Charmed OpenStack with ML2/OVS that has an amphora.

`tests/tests.yaml` brings such a model up. The Juju client is $JUJU, else `juju`; the model is $JUJU_MODEL, else the
current one.
"""
