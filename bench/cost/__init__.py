"""What a stack costs a month, from its configuration and list prices: no account, nothing that runs."""
