"""A Workflow without a cluster: the same manifest, the same `decide`, and a process of this machine for each pod."""
