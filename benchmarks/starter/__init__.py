"""What a first prediction starts from: models of many architectures."""
