"""The cluster's cloud provider: Services of type LoadBalancer get load balancers of the VNet."""
