"""What `import hrnet_tf` offers: load, create_model, list_models, register, track."""
