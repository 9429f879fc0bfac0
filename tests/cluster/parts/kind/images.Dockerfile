# The images that kind's nodes have from the start, a stage each; nodes.py puts the context together.

# All of Kubernetes, and etcd, in one; kube-proxy calls iptables.
FROM scratch AS kubernetes
ADD iptables.tar /
COPY kubernetes/ /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/sbin

FROM scratch AS coredns
COPY programs/coredns /coredns
ENTRYPOINT ["/coredns"]

FROM scratch AS pause
COPY programs/pause /pause
ENTRYPOINT ["/pause"]

FROM scratch AS local-path-provisioner
COPY programs/local-path-provisioner /usr/local/bin/
ENV PATH=/usr/local/bin

# What makes and removes the folders of volumes.
FROM scratch AS local-path-helper
ADD busybox.tar /
ENV PATH=/bin
