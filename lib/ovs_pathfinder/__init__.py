"""Find where packets die between two ports of an OpenStack ML2/OVS cloud, and prove why."""
