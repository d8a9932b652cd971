"""Training of LexLIP encoders: pictures and captions in, a model folder out.

Needs the `train` extra (torch, timm, transformers, accelerate).
"""
