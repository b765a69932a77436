"""How cross-encoders learn: what a step draws, its losses, the loop, checkpoints; hard negatives."""
