#!/bin/sh
# All of docs/quick-start.md on a new kind cluster, up to a Workflow that has survived the death of its pod. From a
# checkout's top folder; it takes kind, kubectl, helm 4, and docker or podman. The cluster stays: kind delete cluster.
#
#   IMAGE_ARCHIVES  a folder with the images perdure:0.1.0 and perdure-runtime:0.1.0 in the archives perdure.tar and
#                   perdure-runtime.tar, to load in place of building them with docker
#   KIND_CONFIG     a file of settings for kind
#   and what kind itself looks for, such as KIND_CLUSTER_NAME and KIND_EXPERIMENTAL_PROVIDER=podman
set -eu

say() { printf '\n# %s\n' "$*"; }
if [ -t 1 ] || [ "${CI:-}" = true ]; then set -x; fi

say 'Images and a cluster'
kind create cluster ${KIND_CONFIG:+--config "$KIND_CONFIG"}
if [ -n "${IMAGE_ARCHIVES:-}" ]; then
    kind load image-archive "$IMAGE_ARCHIVES/perdure.tar"
    kind load image-archive "$IMAGE_ARCHIVES/perdure-runtime.tar"
else
    docker build --tag perdure:0.1.0 .
    docker build --tag perdure-runtime:0.1.0 --target runtime .
    kind load docker-image perdure:0.1.0 perdure-runtime:0.1.0
fi

say 'Install'
kubectl create namespace team-a
helm install perdure charts/perdure --namespace perdure --create-namespace --wait --set 'workflows.databaseSecret.namespaces={team-a}'
helm test perdure --namespace perdure

say 'A countdown whose pod is deleted after three numbers'
countdown=$(mktemp)
trap 'rm -f "$countdown"' EXIT
sed -n '/^```yaml$/,/^```$/p' docs/quick-start.md | sed '1d;$d' >"$countdown"
kubectl apply --namespace team-a --filename "$countdown"
kubectl wait --namespace team-a --for=jsonpath='{.status.phase}'=Running dwf/countdown --timeout=1m
kubectl logs --namespace team-a --selector perdure.io/workflow=countdown --follow | head -n 3
kubectl delete pod --namespace team-a --selector perdure.io/workflow=countdown --now

say 'Another pod goes on'
kubectl wait --namespace team-a --for=condition=Finished dwf/countdown --timeout=2m
kubectl get dwf countdown --namespace team-a --output jsonpath='{.status.result}'
echo
kubectl describe dwf countdown --namespace team-a
