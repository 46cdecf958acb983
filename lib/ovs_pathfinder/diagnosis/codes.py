"""The vocabulary of diagnoses: what each code means and what to do. docs/reference/diagnoses.md follows it."""

from .. import path


class Meaning(path.Model):
    """One code of the vocabulary."""

    meaning: str
    next: tuple[str, ...] = ()


_AGENT_LOG = "Look for errors in /var/log/neutron/neutron-openvswitch-agent.log on that host."
_RESYNC = "Restart neutron-openvswitch-agent on that host: it writes the missing flows and ports anew."

MEANINGS: dict[str, Meaning] = {
    "path-ok": Meaning(meaning="Every packet of the probe was answered, or, for UDP, arrived."),
    "cannot-tell": Meaning(meaning="The evidence does not say where packets stop, or whether they do."),
    "source-silent": Meaning(
        meaning="The source host sent nothing out of the port's device.",
        next=("Check the device, its address and its route on the source host: ip address; ip route get ADDRESS.",),
    ),
    "source-address-wrong": Meaning(
        meaning="The source's address is not one that Neutron gave to its port, or the device lacks it.",
        next=("Compare `ip address` on the host with `openstack port show PORT -c fixed_ips`.",),
    ),
    "source-mac-wrong": Meaning(
        meaning="The sender's MAC address is not its Neutron port's, so anti-spoofing drops its packets.",
        next=("Give the device the port's MAC address, or add it to the port's allowed address pairs.",),
    ),
    "neighbour-unresolved": Meaning(
        meaning="The question for the destination's MAC address was delivered, and its answer did not come back.",
        next=("Look at `ip neighbour` on the source host, and at the hop named here.",),
    ),
    "neighbour-entry-wrong": Meaning(
        meaning="One end has another MAC address for the other end than that one's Neutron port has.",
        next=("ip neighbour flush to ADDRESS dev DEVICE, at that end; look for a second owner of the address.",),
    ),
    "port-disabled": Meaning(
        meaning="The Neutron port is administratively down, so its host drops its packets.",
        next=("openstack port set --enable PORT",),
    ),
    "port-unbound": Meaning(
        meaning="Neutron could not bind the port to its host, so it is on the dead VLAN.",
        next=("openstack port show PORT -c binding_vif_type -c binding_host_id",),
    ),
    "port-not-plugged": Meaning(
        meaning="The port's device is not on the host or not on its switch; or, of a port of a trunk, there is no "
        "bridge of that trunk or no guest's device on it.",
        next=("Check that the server runs on that host, and `ovs-vsctl list-ports br-int` there.",),
    ),
    "port-not-wired": Meaning(
        meaning="The port is on the switch, but Neutron's agent has not given it its VLAN and flows.",
        next=(_AGENT_LOG, _RESYNC),
    ),
    "vlan-tag-wrong": Meaning(
        meaning="The port is in another local VLAN than the rest of its network on that host; or, of a trunk's "
        "subport, the trunk's bridge has another VLAN for it than Neutron's trunk.",
        next=(_AGENT_LOG, _RESYNC),
    ),
    "flows-missing": Meaning(meaning="Flows that Neutron's agent installs are not there.", next=(_AGENT_LOG, _RESYNC)),
    "foreign-flow": Meaning(
        meaning="A flow that is not Neutron's agent's decides on the packets.",
        next=("Find out who added it; delete it with `ovs-ofctl --strict del-flows` and its cookie.",),
    ),
    "agent-down": Meaning(
        meaning="Neutron's Open vSwitch agent on the host does not report, and its work is not done.",
        next=(
            "systemctl status neutron-openvswitch-agent, on that host; openstack network agent list --host HOST",
            _AGENT_LOG,
        ),
    ),
    "egress-rule-missing": Meaning(
        meaning="No rule of the sender's security groups lets the packet out.",
        next=("openstack security group rule list GROUP; add the egress rule.",),
    ),
    "ingress-rule-missing": Meaning(
        meaning="No rule of the receiver's security groups lets the packet in.",
        next=("openstack security group rule list GROUP; add the ingress rule.",),
    ),
    "conntrack-full": Meaning(
        meaning="Conntrack has no room for new connections, so that answers are dropped as invalid.",
        next=(
            "ovs-appctl dpctl/ct-get-limits; ovs-appctl dpctl/ct-get-maxconns; sysctl net.netfilter.nf_conntrack_max",
        ),
    ),
    "conntrack-invalid": Meaning(
        meaning="Conntrack calls the packets invalid: it has not seen, or has forgotten, what they answer.",
        next=("Look at `ovs-appctl dpctl/dump-conntrack` for the two addresses, and at an asymmetric path.",),
    ),
    "conntrack-stale": Meaning(
        meaning="Conntrack marked the connection as cut off when its rule went, and goes on dropping it.",
        next=(
            "Delete that one entry (conntrack -D, or ovs-appctl dpctl/flush-conntrack with its tuple) or wait for it.",
        ),
    ),
    "rate-limited": Meaning(
        meaning="A rate limit on the way (a meter, a policer or a queue) drops packets.",
        next=(
            "openstack port show PORT -c qos_policy_id -c qos_network_policy_id",
            "openstack network qos rule list POLICY",
            "ovs-ofctl -O OpenFlow13 meter-stats BRIDGE; ovs-vsctl list QoS; tc -s qdisc show dev DEVICE",
        ),
    ),
    "switch-disobeys": Meaning(
        meaning="The flows forward the packet and the switch does not: Open vSwitch itself is at fault.",
        next=(
            "Compare the version of Open vSwitch with its known bugs; look for errors in ovs-vswitchd.log.",
            "Restarting openvswitch-switch rebuilds the datapath; plan it, as all traffic of the host stops meanwhile.",
        ),
    ),
    "switch-known-bug": Meaning(
        meaning="The switch does what a known bug of this version of Open vSwitch makes it do.",
        next=(
            "Install a version of Open vSwitch that has the fix, and restart openvswitch-switch; plan it, as all "
            "traffic of the host stops meanwhile.",
        ),
    ),
    "vswitchd-not-answering": Meaning(
        meaning="ovs-vswitchd on the host does not answer: packets that need a new datapath flow are lost.",
        next=(
            "Look at ovs-vswitchd on that host: its state (ps -o pid,stat,wchan,rss,time -C ovs-vswitchd), and the end "
            "of /var/log/openvswitch/ovs-vswitchd.log.",
            "Restarting openvswitch-switch ends it; plan it, as all traffic of the host stops meanwhile.",
        ),
    ),
    "conntrack-loop": Meaning(
        meaning="Flows send the packets through conntrack (ct with a table) in a circle, and the datapath drops them.",
        next=(
            "Find out who added the flow named here; Neutron's own go from table 71 to 72 and from 81 to 82.",
            "Do not trace such packets with ovs-appctl ofproto/trace: Open vSwitch before 2.17.10, 3.0.7, 3.1.5, 3.2.3 "
            "and 3.3.1 follows the circle for ever.",
        ),
    ),
    "leftover-mirror": Meaning(
        meaning="A mirror of packets is on the switch, as a capture that was cut off leaves one behind.",
        next=("ovs-vsctl list Mirror; if nobody uses it: ovs-vsctl remove Bridge BRIDGE mirrors UUID",),
    ),
    "lost-behind-switch": Meaning(
        meaning="The switch counted the packets out, and nobody saw them behind it.",
        next=(
            "Look at what is between the switch and the device: nft list ruleset; iptables-save; tc qdisc; with "
            "firewall_driver iptables_hybrid, the chains of the port.",
        ),
    ),
    "patch-broken": Meaning(
        meaning="The patch ports that join br-int and br-tun, or br-int and a trunk's bridge, do not reach each other.",
        next=(
            "Compare `ovs-vsctl list Interface patch-tun patch-int`: each must name the other as options:peer.",
            _RESYNC,
        ),
    ),
    "tunnel-missing": Meaning(
        meaning="The host has no tunnel port towards the other host.", next=(_AGENT_LOG, _RESYNC)
    ),
    "tunnel-mismatch": Meaning(
        meaning="The tunnel port's other end, key or type is not that of the other host.",
        next=("Compare `ovs-vsctl show` on both hosts with `openstack network agent show`.", _RESYNC),
    ),
    "forwarding-entry-wrong": Meaning(
        meaning="br-tun has no entry for the destination's MAC address, or one that leads to another host.",
        next=(_AGENT_LOG, _RESYNC),
    ),
    "segment-missing": Meaning(
        meaning="The host does not know the tunnel key of the network.", next=(_AGENT_LOG, _RESYNC)
    ),
    "underlay-unroutable": Meaning(
        meaning="The host cannot reach the other tunnel end: no route, or its next hop does not answer.",
        next=("ip route get ADDRESS; ip neighbour, on that host.",),
    ),
    "underlay-loss": Meaning(
        meaning="Tunnel packets leave one host and do not arrive at the other.",
        next=(
            "Check the physical network between the two tunnel ends: firewalls (GRE is IP protocol 47), MTU, links.",
        ),
    ),
    "mtu-too-small": Meaning(
        meaning="Packets as large as the network's MTU are lost, and smaller ones pass.",
        next=(
            "Compare the MTU of the devices between the two tunnel ends with the network's plus the tunnel's headers "
            "(42 bytes for GRE over IPv4, 50 for VXLAN): the action ping searches for the largest that passes.",
        ),
    ),
    "device-mtu-wrong": Meaning(
        meaning="The device of a port takes smaller packets than the port's network carries.",
        next=(
            "Give the device the network's MTU: ip link set DEVICE mtu BYTES; for one of type internal: ovs-vsctl "
            "set Interface DEVICE mtu_request=BYTES. Nova sets the MTU of a tap when its server is rebooted hard.",
        ),
    ),
    "guest-port-down": Meaning(
        meaning="The guest's network device is down.", next=("Look at the server's console and power state.",)
    ),
    "guest-address-missing": Meaning(
        meaning="The guest lives and does not have the address that Neutron gave to its port.",
        next=("Look at the server's console and at how it gets its address (DHCP, config drive, cloud-init).",),
    ),
    "guest-silent": Meaning(
        meaning="The packets reach the guest's device and nothing comes back.",
        next=("Look at the server's console: is its network configured, does a firewall in it drop them?",),
    ),
    "guest-filters-icmp": Meaning(
        meaning="The guest answers neighbour discovery but not ping.",
        next=("Probe the service itself: plan-path with protocol=tcp.",),
    ),
    "service-refused": Meaning(
        meaning="The guest is reached and refuses the connection: nothing listens at that port.",
        next=("Check the service in the guest.",),
    ),
    "service-silent": Meaning(
        meaning="The guest's device gets the connection's first packet and nothing comes back.",
        next=("Check the service and the firewall in the guest.",),
    ),
    "heartbeat-blocked": Meaning(
        meaning="The amphora's messages to Octavia's health manager are dropped, so that Octavia will fail it over.",
        next=(
            "openstack security group rule list GROUP; the health manager's group must let UDP 5555 in, the amphora's "
            "must let it out.",
        ),
    ),
    "reply-lost": Meaning(
        meaning="The answer reaches the source's device and not the program that waits for it.",
        next=("Look at the firewall of the source host: nft list ruleset; iptables-save.",),
    ),
    "loss-intermittent": Meaning(
        meaning="Some packets are lost at a hop, others pass.",
        next=("Probe again with a larger count, to see whether the loss goes on.",),
    ),
}
