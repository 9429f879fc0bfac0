"""What people and machines read of the operator: metrics, who may read them, and answers for the kubelet."""
