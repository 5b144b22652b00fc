"""Language and vision models by transformers. In: a folder or repository@revision. Out: a loaded model."""
