"""The cluster that is built from package registries: every part a process of this machine, in namespaces of its own."""
