"""A cloud whose control plane is real: Keystone, Neutron, Nova, Octavia, and the agents that write the flows."""
