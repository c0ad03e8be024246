"""What lock files and manifests say about the packages of others: one file per ecosystem."""
