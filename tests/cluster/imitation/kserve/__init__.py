"""KServe's controller and what stands around it, imitated through a Kubernetes API."""
