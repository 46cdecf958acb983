"""An HTTP stand-in for the parts of Keystone v3, Neutron, Nova and Octavia that a plan needs.

    python -m tests.lab.cloud --description FILE --listen 127.0.0.1:0 [--certificate PEM]

It prints `listening on http://ADDRESS:PORT` when it is ready and ends on SIGTERM. FILE is JSON and is read
again whenever it changes (replace it with rename(2), so that no half-written file is read). Its keys, all
optional:

`networks`, `subnets`, `ports`, `security_groups`, `security_group_rules`, `address_groups`, `agents`, `servers`,
`amphorae`, `loadbalancers`
    Lists of objects in exactly the field names of the real APIs, such as `binding:host_id`,
    `provider:segmentation_id` and `OS-EXT-SRV-ATTR:host`. A `PUT /ports/ID` is written back into FILE.
`credentials`
    `username`, `password`, `project`, `domain`, `project_id`: what `/v3/auth/tokens` accepts. See
    `description.Account` for the defaults: ovs-pathfinder, secret, services, default. The user's and the
    project's domain are the same.
`services`
    Which of `identity`, `network`, `compute` and `load-balancer` the catalogue names; by default all.
`failures`
    Answers to spoil: a list of objects with `service`, and optionally `path` (a part of it), `method`, `skip` (how
    many such requests are answered well first), `times` (how many are spoilt then; by default all), `effect` (that the
    request is carried out nonetheless: "before" or "after" the delay; "begun" is after it, but checked before it),
    `status` (503), `body` (sent as text/html instead of the service's own error), `delay` (seconds before anything is
    sent) and `drop` (true: close the connection without an answer). Requests are counted since the start or the last
    `DELETE /-/requests`.

The services live below one address: Keystone at `/v3`, Neutron at `/network/v2.0`, Nova at `/compute/v2.1`,
Octavia at `/load-balancer/v2.0`. `GET /-/requests` lists every request since the start or the last
`DELETE /-/requests`, in order, each as `{"method", "path", "query"}`.
"""
