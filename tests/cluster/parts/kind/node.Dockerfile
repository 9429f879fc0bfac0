# A node of kind, as kind's images/base/Dockerfile and `kind build node-image` make it, from Debian packages.
FROM scratch
ADD node.tar /
COPY kind/etc/ /etc/
COPY kind/kind/ /kind/
COPY kind/usr/ /usr/
COPY programs/kubeadm kubernetes/ /usr/bin/
COPY manifests/ /kind/manifests/
COPY cni.conflist /etc/containerd/
COPY crictl /usr/local/bin/
# Of everything already there, content by content: what the node's containerd finds when it first starts.
COPY containerd/ /var/lib/containerd/
ARG VERSION
ARG PAUSE
RUN set -e; \
    chmod -R u+w,go-w,a+rX /kind /etc/containerd /etc/default /etc/sysctl.d /etc/systemd/system; \
    chmod 755 /usr/local/bin/* /kind/bin/*; \
    # No services but these.
    find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete; \
    rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
        /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
        /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/*; \
    echo ReadKMsg=no >>/etc/systemd/journald.conf; \
    ln -sf /usr/lib/systemd/systemd /sbin/init; \
    systemctl enable kubelet.service containerd.service undo-mount-hacks.service; \
    systemctl mask systemd-binfmt.service; \
    # Where kind's files look for what Debian has elsewhere.
    ln -s /usr/bin/containerd /usr/bin/ctr /usr/local/bin/; \
    mkdir -p /opt/cni /etc/kubernetes/manifests; \
    ln -s /usr/lib/cni /opt/cni/bin; \
    ctr oci spec >/tmp/spec; \
    jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' /tmp/spec \
        >/etc/containerd/cri-base.json; \
    rm /tmp/spec; \
    # Scores below the kubelet's own need CAP_SYS_RESOURCE, which a machine in a container or a small VM may lack.
    sed -i \
        -e 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' \
        -e "s#sandbox_image = .*#sandbox_image = \"$PAUSE\"#" /etc/containerd/config.toml; \
    # In place of kindnet, whose image cannot be had: addresses from the node's own range, and routes by network.py.
    printf '[plugins."io.containerd.grpc.v1.cri".cni]\n  conf_template = "/etc/containerd/cni.conflist"\n' \
        >>/etc/containerd/config.toml; \
    printf '%s' "$VERSION" >/kind/version
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
